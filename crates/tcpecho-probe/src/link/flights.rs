//! The probes of a connection: under way, or given up and remembered.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tcpecho_os::timestamping::{Report, Sent};

use crate::payload::Stamp;

/// The most lost probes remembered, so that late answers are recognized.
const REMEMBERED: usize = 4096;

/// A probe under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flight {
    pub(crate) stamp: Stamp,
    pub(crate) due: Instant,
    /// When it was added, which may be later.
    pub(crate) begun: Instant,
    /// When its first part was sent, and how many bytes of the connection had been sent then.
    begun_sending: Option<(Instant, u64)>,
    /// When its last part was sent.
    pub(crate) sent: Option<Instant>,
    /// How many bytes of the connection had been sent then.
    end: u64,
    /// When the first part left this host and when the last was acknowledged, since the epoch, by the kernel's clock.
    left: Option<Duration>,
    acknowledged: Option<Duration>,
    /// How long this process was paused while it was under way.
    pub(crate) paused: Duration,
}

impl Flight {
    /// Returns from when its timeout counts: when it was due, plus pauses of this process.
    pub(crate) fn waited_for_from(&self) -> Instant {
        self.due.checked_add(self.paused).unwrap_or(self.due)
    }

    /// Returns how many bytes of the connection had been sent with its last part.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Returns the time from its first byte sent to its last byte received, and whether it is by the kernel's timestamps.
    pub(crate) fn rtt(&self, at: Instant, came: Option<Duration>) -> (Duration, bool) {
        // The wall clock may have been set in between.
        let by_kernel = self.left.zip(came).and_then(|(left, came)| came.checked_sub(left));
        let by_us = || {
            let begun = self.begun_sending.map(|(begun, _)| begun);
            begun.map_or(Duration::ZERO, |begun| at.saturating_duration_since(begun))
        };
        by_kernel.map_or_else(|| (by_us(), false), |rtt| (rtt, true))
    }

    /// Returns the time from when its first part left to when its last was acknowledged.
    pub(crate) fn ack(&self) -> Option<Duration> {
        self.acknowledged?.checked_sub(self.left?)
    }
}

/// All probes of a connection, by number.
#[derive(Debug, Default)]
pub(super) struct Flights {
    waiting: VecDeque<Flight>,
    missed: VecDeque<Flight>,
    /// The number of the last probe that came back.
    last_seen: u64,
}

impl Flights {
    /// Adds a probe. Its number is above all others.
    pub(super) fn add(&mut self, stamp: Stamp, due: Instant) {
        self.waiting.push_back(Flight {
            stamp,
            due,
            begun: Instant::now(),
            begun_sending: None,
            sent: None,
            end: 0,
            left: None,
            acknowledged: None,
            paused: Duration::ZERO,
        });
    }

    pub(super) fn under_way(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn oldest(&self) -> Option<&Flight> {
        self.waiting.front()
    }

    /// Discounts a pause of this process.
    pub(super) fn postpone(&mut self, span: Duration) {
        for flight in self.waiting.iter_mut().chain(&mut self.missed) {
            flight.paused = flight.paused.saturating_add(span);
        }
    }

    /// Gives up the oldest. `begun` is the number of the probe that is being sent.
    pub(super) fn miss(&mut self, begun: Option<u64>) -> Option<Flight> {
        let flight = self.waiting.pop_front()?;
        // A probe not begun is not sent any more.
        if flight.sent.is_some() || begun == Some(flight.stamp.seq) {
            if self.missed.len() >= REMEMBERED {
                self.missed.pop_front();
            }
            self.missed.push_back(flight);
        }
        Some(flight)
    }

    pub(super) fn take_under_way(&mut self) -> VecDeque<Flight> {
        std::mem::take(&mut self.waiting)
    }

    /// Returns the first that is not sent.
    pub(super) fn next_unsent(&self) -> Option<Stamp> {
        let index = self.waiting.partition_point(|flight| flight.sent.is_some());
        self.waiting.get(index).map(|flight| flight.stamp)
    }

    /// Returns how many are not sent, or not completely.
    pub(super) fn unsent(&self) -> usize {
        self.waiting.len() - self.waiting.partition_point(|flight| flight.sent.is_some())
    }

    /// Notes that its first part is sent, with which the connection has sent `end` bytes.
    pub(super) fn note_begun(&mut self, seq: u64, at: Instant, end: u64) {
        if let Some(flight) = self.find(seq) {
            flight.begun_sending = Some((at, end));
        }
    }

    /// Notes the same of its last part.
    pub(super) fn note_sent(&mut self, seq: u64, at: Instant, end: u64) {
        if let Some(flight) = self.find(seq) {
            (flight.sent, flight.end) = (Some(at), end);
        }
    }

    fn find(&mut self, seq: u64) -> Option<&mut Flight> {
        if let Ok(index) = self.missed.binary_search_by_key(&seq, number) {
            return self.missed.get_mut(index);
        }
        let index = self.waiting.binary_search_by_key(&seq, number).ok()?;
        self.waiting.get_mut(index)
    }

    /// Takes a timestamp of the kernel.
    pub(super) fn note_report(&mut self, report: Report) {
        // Reports name the last byte of a send(2).
        let about = |flight: &&mut Flight| {
            let end = match report.what {
                Sent::Left => flight.begun_sending.map(|(_, end)| end),
                Sent::Acknowledged => flight.sent.map(|_| flight.end),
            };
            end.is_some_and(|end| (end as u32).wrapping_sub(1) == report.offset)
        };
        // Reports are about the newest.
        let mut all = self.missed.iter_mut().chain(&mut self.waiting).rev();
        if let Some(flight) = all.find(about) {
            let slot = match report.what {
                Sent::Left => &mut flight.left,
                Sent::Acknowledged => &mut flight.acknowledged,
            };
            // The first report counts. A retransmission is reported again.
            slot.get_or_insert(report.at);
        }
    }

    /// Removes a probe that came back. Returns it and whether it had been given up; `None` if it is not known.
    pub(super) fn settle(&mut self, seq: u64) -> Option<(Flight, bool)> {
        self.last_seen = seq;
        if let Ok(index) = self.missed.binary_search_by_key(&seq, number) {
            return self.missed.remove(index).map(|flight| (flight, true));
        }
        let index = self.waiting.binary_search_by_key(&seq, number).ok()?;
        // A probe that was not sent cannot come back.
        self.waiting.get(index)?.sent?;
        self.waiting.remove(index).map(|flight| (flight, false))
    }

    /// Returns the probe that a correct echo would return next.
    pub(super) fn expected(&self) -> Option<Stamp> {
        let next = |flights: &VecDeque<Flight>| {
            let index = flights.partition_point(|flight| flight.stamp.seq <= self.last_seen);
            flights.get(index).filter(|flight| flight.sent.is_some()).map(|flight| flight.stamp)
        };
        next(&self.missed).or_else(|| next(&self.waiting))
    }
}

fn number(flight: &Flight) -> u64 {
    flight.stamp.seq
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seq: u64) -> Stamp {
        Stamp { seq, due_ns: 0 }
    }

    /// Probes of ten bytes, one due in each second, all sent at once.
    fn sent(count: u64) -> (Flights, Instant) {
        let (mut flights, start) = (Flights::default(), Instant::now());
        for seq in 1..=count {
            flights.add(stamp(seq), start + Duration::from_secs(seq));
            assert_eq!(flights.next_unsent(), Some(stamp(seq)));
            flights.note_begun(seq, start, seq * 10);
            flights.note_sent(seq, start, seq * 10);
        }
        (flights, start)
    }

    #[test]
    fn an_answer_settles_its_own_probe_in_whatever_order() {
        let (mut flights, _) = sent(3);
        assert_eq!(flights.expected(), Some(stamp(1)));
        assert!(matches!(flights.settle(2), Some((_, false))));
        assert_eq!(flights.expected(), Some(stamp(3)));
        assert!(flights.settle(2).is_none(), "once only");
        assert!(matches!(flights.settle(1), Some((_, false))));
        assert_eq!((flights.under_way(), flights.settle(9).is_none()), (1, true));
    }

    #[test]
    fn lost_probes_are_remembered_up_to_a_limit() {
        let count = REMEMBERED as u64 + 2;
        let (mut flights, start) = sent(count);
        assert_eq!(flights.oldest().unwrap().due, start + Duration::from_secs(1));
        while flights.miss(None).is_some() {}
        assert!(flights.under_way() == 0 && flights.oldest().is_none());
        assert!(flights.settle(1).is_none() && flights.settle(2).is_none());
        assert!(matches!(flights.settle(3), Some((_, true))));
        assert_eq!(flights.expected(), Some(stamp(4)));
    }

    #[test]
    fn what_was_not_sent_is_not_remembered_and_cannot_come_back() {
        let (mut flights, start) = (Flights::default(), Instant::now());
        for seq in 1..=3 {
            flights.add(stamp(seq), start);
        }
        assert!(flights.settle(1).is_none());
        assert!(flights.miss(Some(1)).is_some() && flights.miss(Some(1)).is_some());
        // The first was being sent, and may still be answered; the second will never be.
        flights.note_sent(1, start, 10);
        assert!(matches!(flights.settle(1), Some((_, true))));
        assert!(flights.settle(2).is_none());
        assert_eq!(flights.next_unsent(), Some(stamp(3)));
    }

    #[test]
    fn a_pause_of_ours_is_not_waited_for() {
        let (mut flights, start) = sent(2);
        flights.miss(None);
        flights.postpone(Duration::from_secs(9));
        let oldest = flights.oldest().unwrap();
        assert_eq!(oldest.waited_for_from(), start + Duration::from_secs(11));
        let (missed, _) = flights.settle(1).unwrap();
        assert_eq!(missed.paused, Duration::from_secs(9));
    }

    #[test]
    fn a_round_trip_begins_with_the_first_byte() {
        let (mut flights, start) = (Flights::default(), Instant::now());
        flights.add(stamp(1), start);
        let at = Duration::from_secs;
        flights.note_begun(1, start + at(1), 10);
        flights.note_report(Report { what: Sent::Left, offset: 9, at: at(1) });
        flights.note_sent(1, start + at(5), 100);
        flights.note_report(Report { what: Sent::Left, offset: 99, at: at(5) });
        flights.note_report(Report { what: Sent::Acknowledged, offset: 9, at: at(2) });
        flights.note_report(Report { what: Sent::Acknowledged, offset: 99, at: at(6) });
        let (flight, _) = flights.settle(1).unwrap();
        assert_eq!(flight.rtt(start + at(8), Some(at(7))), (at(6), true));
        assert_eq!(flight.rtt(start + at(8), None), (at(7), false));
        assert_eq!(flight.ack(), Some(at(5)));
    }

    #[test]
    fn only_the_first_timestamp_of_each_kind_counts() {
        let (mut flights, start) = sent(2);
        let at = Duration::from_secs;
        let report = |what, offset, at| Report { what, offset, at };
        flights.note_report(report(Sent::Left, 19, at(5)));
        flights.note_report(report(Sent::Left, 19, at(6)));
        flights.note_report(report(Sent::Acknowledged, 19, at(8)));
        flights.note_report(report(Sent::Left, 77, at(9)));
        let (second, _) = flights.settle(2).unwrap();
        assert_eq!(second.rtt(start, Some(at(7))), (at(2), true));
        assert_eq!(second.ack(), Some(at(3)));
        // The clock of the day went back: ours has to do.
        assert_eq!(second.rtt(start + at(1), Some(at(1))), (at(1), false));
        let (first, _) = flights.settle(1).unwrap();
        assert_eq!((first.ack(), first.rtt(start + at(1), Some(at(9)))), (None, (at(1), false)));
    }
}
