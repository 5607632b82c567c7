//! The probes of one connection: under way, and missed but remembered.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tcpecho_os::timestamping::{Report, Sent};

use crate::payload::Stamp;

/// Lost probes that are remembered, so that a late answer is known for what it is.
const REMEMBERED: usize = 4096;

/// A probe under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flight {
    pub(crate) stamp: Stamp,
    pub(crate) due: Instant,
    /// When it had its turn, which may be later.
    pub(crate) begun: Instant,
    /// When the first of it was handed to the socket, and how many bytes had then been handed over in all.
    begun_sending: Option<(Instant, u64)>,
    /// When the last of it was.
    pub(crate) sent: Option<Instant>,
    /// How many bytes had then been handed over in all.
    end: u64,
    /// When the kernel saw the first of it leave, and the last acknowledged; since the epoch.
    left: Option<Duration>,
    acknowledged: Option<Duration>,
    /// How long this program did not run while it was under way.
    pub(crate) paused: Duration,
}

impl Flight {
    /// From when on it is waited for: when it was due, but for our own pauses.
    pub(crate) fn waited_for_from(&self) -> Instant {
        self.due.checked_add(self.paused).unwrap_or(self.due)
    }

    /// How many bytes the socket had been handed with the last of it.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// From when its first byte was sent to when its last came back; true if by the kernel's stamps.
    pub(crate) fn rtt(&self, at: Instant, came: Option<Duration>) -> (Duration, bool) {
        // The clock of the day may have been set between the two.
        let by_kernel = self.left.zip(came).and_then(|(left, came)| came.checked_sub(left));
        let by_us = || {
            let begun = self.begun_sending.map(|(begun, _)| begun);
            begun.map_or(Duration::ZERO, |begun| at.saturating_duration_since(begun))
        };
        by_kernel.map_or_else(|| (by_us(), false), |rtt| (rtt, true))
    }

    /// From when the first of it left to when the last was acknowledged.
    pub(crate) fn ack(&self) -> Option<Duration> {
        self.acknowledged?.checked_sub(self.left?)
    }
}

/// All of them, by number.
#[derive(Debug, Default)]
pub(super) struct Flights {
    waiting: VecDeque<Flight>,
    missed: VecDeque<Flight>,
    /// The number of the last probe that came back.
    last_seen: u64,
}

impl Flights {
    /// One is due; its number is above all others.
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

    /// This program did not run for so long.
    pub(super) fn postpone(&mut self, span: Duration) {
        for flight in self.waiting.iter_mut().chain(&mut self.missed) {
            flight.paused = flight.paused.saturating_add(span);
        }
    }

    /// The oldest; from now on it is missed. `begun` is the number of the one that is being sent.
    pub(super) fn miss(&mut self, begun: Option<u64>) -> Option<Flight> {
        let flight = self.waiting.pop_front()?;
        // What was not even begun will not be sent any more.
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

    /// The first that was not sent.
    pub(super) fn next_unsent(&self) -> Option<Stamp> {
        let index = self.waiting.partition_point(|flight| flight.sent.is_some());
        self.waiting.get(index).map(|flight| flight.stamp)
    }

    /// How many were not sent, or not wholly.
    pub(super) fn unsent(&self) -> usize {
        self.waiting.len() - self.waiting.partition_point(|flight| flight.sent.is_some())
    }

    /// The first of it is handed to the socket, which now has had so many bytes.
    pub(super) fn note_begun(&mut self, seq: u64, at: Instant, end: u64) {
        if let Some(flight) = self.find(seq) {
            flight.begun_sending = Some((at, end));
        }
    }

    /// The last of it is.
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

    /// The kernel's word on one that was sent.
    pub(super) fn note_report(&mut self, report: Report) {
        // Reports name the last byte that was handed over with one call.
        let about = |flight: &&mut Flight| {
            let end = match report.what {
                Sent::Left => flight.begun_sending.map(|(_, end)| end),
                Sent::Acknowledged => flight.sent.map(|_| flight.end),
            };
            end.is_some_and(|end| (end as u32).wrapping_sub(1) == report.offset)
        };
        // The newest are what reports are about.
        let mut all = self.missed.iter_mut().chain(&mut self.waiting).rev();
        if let Some(flight) = all.find(about) {
            let slot = match report.what {
                Sent::Left => &mut flight.left,
                Sent::Acknowledged => &mut flight.acknowledged,
            };
            // The first counts; a retransmission is reported once more.
            slot.get_or_insert(report.at);
        }
    }

    /// It came back, and is forgotten; true if it had been missed. None if it is not known, or not known any more.
    pub(super) fn settle(&mut self, seq: u64) -> Option<(Flight, bool)> {
        self.last_seen = seq;
        if let Ok(index) = self.missed.binary_search_by_key(&seq, number) {
            return self.missed.remove(index).map(|flight| (flight, true));
        }
        let index = self.waiting.binary_search_by_key(&seq, number).ok()?;
        // What was not sent cannot have come back.
        self.waiting.get(index)?.sent?;
        self.waiting.remove(index).map(|flight| (flight, false))
    }

    /// The probe that an honest echo would bring next.
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

    /// So many probes of ten bytes, one due in each second, all sent at once.
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
    fn what_is_missed_is_remembered_for_a_while() {
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
    fn the_kernel_is_heard_once() {
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
