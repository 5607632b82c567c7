//! Counts and reports what became of connections and probes, and acts on it.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use tcpecho::{Attempt, Ending, internal::KernelFacts};

use super::{FRESH_IF_DEAD, Missing, Target};
use crate::{
    event::{Answer, Broken, Cause, Connected, Event, Loss},
    link::{Flight, Link, Received},
    plan::Mode,
};

/// Waits between attempts to connect, doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Target {
    /// Handles a complete handshake. Returns false if the connection is done.
    pub(super) fn opened(&mut self, index: usize) -> bool {
        let stalled = self.stalled();
        let Some(link) = self.links.get_mut(index) else { return false };
        let (peer, took) = (link.peer, link.connect_time);
        // The address that answers is tried first from now on.
        if let Some(at) = self.addrs.iter().position(|&addr| addr == peer) {
            self.addrs.swap(0, at);
        }
        self.stats.connections += 1;
        if !link.paused && stalled.is_zero() {
            self.stats.connect.record(took);
        }
        let first = self.stats.connections == 1;
        let retransmits = link.info().map_or(0, |info| info.total_retrans);
        if self.rules.mode == Mode::Stay {
            // These are not counted with a probe; where each has a connection of its own, they are.
            let _ = link.kernel();
            self.stats.retransmits += u64::from(retransmits);
        }
        if self.rules.mode == Mode::Stay || first {
            let connected = Connected {
                peer,
                local: link.local.unwrap_or(peer),
                took,
                retransmits,
                again: !first,
                failures: std::mem::take(&mut link.failures),
                no_stamps: link.stamps.err(),
                stamps: link.stamps == Ok(true),
            };
            self.events.push(Event::Connected(connected));
        }
        match self.rules.mode {
            Mode::Stay => self.schedule.begin(Instant::now()),
            Mode::Reconnect => {}
            Mode::Connect => {
                if let Some(flight) = link.take_under_way().pop_front() {
                    self.handshake_completed(index, &flight, took);
                }
                return false;
            }
        }
        true
    }

    /// Handles a handshake that is the answer.
    fn handshake_completed(&mut self, index: usize, flight: &Flight, took: Duration) {
        let (now, stalled) = (Instant::now(), self.stalled());
        let Some(link) = self.links.get_mut(index) else { return };
        let answer = Answer {
            seq: flight.stamp.seq,
            bytes: 0,
            peer: link.peer,
            late: false,
            time: now.saturating_duration_since(flight.due),
            rtt: took,
            by_kernel: false,
            ack: None,
            connect: None,
            kernel: link.kernel(),
            paused: flight.paused.saturating_add(stalled),
        };
        self.answered(answer, now);
    }

    /// Handles attempts that failed at `now`. Returns the ending.
    pub(super) fn could_not_connect(
        &mut self,
        failures: Vec<Attempt>,
        link: Option<Link>,
        now: Instant,
    ) -> Ending {
        let by_rst = failures.iter().any(is_by_rst);
        let failure = Attempt::most_informative(&failures);
        let ending = failure.map_or(Ending::ConnectTimeout, |failure| failure.ending);
        if let Some(Attempt { error, diagnosis, .. }) = failure {
            let (errno, diagnosis) = (Some(error.source.into()), diagnosis.clone());
            self.cause = Some(Cause { op: error.op, addr: error.addr, errno, diagnosis });
        }
        let before = self.last_ending.replace((ending, now));
        let was_down = before.is_some_and(|(before, _)| before == ending);
        // The same again is marked as such.
        let again = was_down && self.broken;
        self.broken = true;
        self.schedule.begin(now);
        self.events.push(Event::Unconnected { failures, again });
        if self.rules.mode == Mode::Stay {
            self.names.ask(FRESH_IF_DEAD, now);
            self.try_again(now);
        }
        for flight in link.map(|mut link| link.take_under_way()).into_iter().flatten() {
            if self.rules.mode == Mode::Connect && by_rst {
                self.stats.refused += 1;
                let time = now.saturating_duration_since(flight.due);
                self.events.push(Event::Refused { seq: flight.stamp.seq, time });
                self.schedule.failed(now);
            } else {
                self.lose(flight.stamp.seq, flight.due, Loss::Ended(ending));
            }
        }
        ending
    }

    fn try_again(&mut self, now: Instant) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.tries.min(10)).min(LONGEST_WAIT);
        self.tries += 1;
        self.next_try = now.checked_add(wait);
    }

    pub(super) fn found(&mut self, index: usize, found: &Received) {
        let stalled = self.stalled();
        let Some(link) = self.links.get_mut(index) else { return };
        match *found {
            Received::Whole { flight: Some(flight), seq, missed, at, came } => {
                let paused = flight.paused.saturating_add(stalled);
                let (rtt, by_kernel) = flight.rtt(at, came);
                let time = at.saturating_duration_since(flight.due);
                let connect =
                    Some(link.connect_time).filter(|_| self.rules.mode == Mode::Reconnect);
                let answer = Answer {
                    seq,
                    bytes: self.rules.size,
                    peer: link.peer,
                    late: missed || time.saturating_sub(paused) > self.rules.timeout,
                    time,
                    rtt,
                    by_kernel,
                    ack: flight.ack(),
                    connect,
                    kernel: link.kernel(),
                    paused,
                };
                // It had been counted as lost.
                self.stats.lost -= u64::from(missed);
                self.answered(answer, at);
            }
            Received::Whole { flight: None, seq, .. } => {
                self.stats.doubled += 1;
                self.events.push(Event::Doubled { seq });
            }
            Received::Damaged { seq, known, missed, at, alike } => {
                if known {
                    self.returned += alike as u64;
                    self.first_difference.get_or_insert((seq, at));
                    self.stats.lost -= u64::from(missed);
                    self.stats.corrupted += 1;
                    self.settled(Instant::now());
                } else {
                    // It has had its answer already.
                    self.stats.doubled += 1;
                }
                self.events.push(Event::Corrupted { seq, at });
            }
            Received::Foreign(bytes) => {
                self.stats.foreign_bytes += bytes as u64;
                self.events.push(Event::Foreign { bytes });
            }
        }
    }

    fn answered(&mut self, answer: Answer, at: Instant) {
        // The pause is not the server's.
        if answer.paused.is_zero() {
            self.stats.answer(answer.time, answer.rtt, answer.by_kernel);
        }
        *(if answer.late { &mut self.stats.late } else { &mut self.stats.answered }) += 1;
        self.stats.retransmits += answer.kernel.map_or(0, |kernel| u64::from(kernel.retransmits));
        if self.rules.keep_times {
            let index = usize::try_from(answer.seq.saturating_sub(1)).unwrap_or(usize::MAX);
            if let Some(slot) = self.times.get_mut(index) {
                *slot = Some(answer.time).filter(|_| !answer.late);
            }
        }
        self.events.push(Event::Answer(answer));
        self.end_of_outage(at);
        (self.tries, self.last_ending) = (0, None);
        self.settled(at);
    }

    fn end_of_outage(&mut self, at: Instant) {
        let (missing, broken) = (self.missing.take(), std::mem::take(&mut self.broken));
        if let (Some(Missing { since, first, lost }), true) = (missing, broken) {
            let span = at.saturating_duration_since(since);
            self.stats.outages.add(span);
            self.events.push(Event::Outage { first, lost, span, end: Some(at) });
        }
    }

    fn settled(&mut self, now: Instant) {
        self.schedule.settled(now);
    }

    pub(super) fn broke(&mut self, broken: Broken, mut link: Link) {
        let (ending, now) = (broken.ending(), Instant::now());
        self.stats.breaks += 1;
        self.stats.retransmits += link.kernel().map_or(0, |kernel| kernel.retransmits.into());
        self.last_ending = Some((ending, now));
        self.broken = true;
        let Broken { op, peer, errno, diagnosis, .. } = &broken;
        let diagnosis = (**diagnosis).clone();
        self.cause = Some(Cause { op, addr: Some(*peer), errno: *errno, diagnosis });
        if self.rules.mode == Mode::Stay {
            self.names.ask(Duration::ZERO, now);
            // One that has worked is made again at once.
            if link.has_answered {
                self.next_try = Some(now);
            } else {
                self.try_again(now);
            }
        }
        self.events.push(Event::Broken(broken));
        for flight in link.take_under_way() {
            self.lose(flight.stamp.seq, flight.due, Loss::Ended(ending));
        }
    }

    pub(super) fn lose(&mut self, seq: u64, due: Instant, why: Loss) {
        self.stats.lost += 1;
        let missing = self.missing.get_or_insert(Missing { since: due, first: seq, lost: 0 });
        missing.lost += 1;
        self.events.push(Event::Lost { seq, why });
        match why {
            Loss::Ended(_) | Loss::NoConnection => self.schedule.failed(Instant::now()),
            Loss::Silence { .. } | Loss::Unsent { .. } => self.settled(Instant::now()),
        }
    }
}

/// Returns whether the peer itself refused. A router's refusal is not an answer of the peer.
fn is_by_rst(failure: &Attempt) -> bool {
    failure.error.source == Errno::CONNREFUSED
        && KernelFacts::of(&failure.evidence).routers.is_empty()
}
