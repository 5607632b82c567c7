//! The end of a run: what became of the last probes, and why a target has not answered.

use std::time::Instant;

use tcpecho::{Diagnosis, Ending, Evidence, Phase, Symptom};

use super::{Missing, TOLERANCE, TURN, Target};
use crate::{
    event::{Cause, Event, Loss},
    link::{Flight, Link},
    plan::Mode,
};

impl Target {
    /// Ends the run of this target. A probe that has waited longer than any answer took, and than [`TOLERANCE`], is lost; the
    /// others stay under way. If there was no answer, all are lost.
    pub(crate) fn finish(&mut self, buffer: &mut [u8]) {
        // What has arrived by now counts.
        self.began = Instant::now();
        self.proceed();
        self.links.iter_mut().for_each(Link::look_again);
        self.receive(buffer);
        let now = Instant::now();
        if self.rules.mode == Mode::Stay && !self.schedule.has_begun() {
            self.never_connected(now);
        }
        // On a busy machine an answer may take this time although no other did.
        let longest = self.stats.time.max().max(TOLERANCE);
        let silent = self.stats.received() == 0;
        let waited = |flight: &Flight| {
            now.saturating_duration_since(flight.begun).saturating_sub(flight.paused)
        };
        self.give_up(|flight| silent || waited(flight) > longest);
        for index in 0..self.links.len() {
            self.take_rest(index);
        }
        self.note_unended_outage(now);
        if self.stats.received() > 0 {
            return;
        }
        if self.stats.foreign_bytes > 0 || self.stats.corrupted > 0 {
            let (addr, diagnosis) = (self.addr(), self.different());
            self.cause = Some(Cause { op: "recv", addr, errno: None, diagnosis });
        }
        if let Some(cause) = self.cause.clone() {
            self.events.push(Event::Unanswered(Box::new(cause)));
        }
    }

    /// Reports an outage that no answer has ended.
    fn note_unended_outage(&mut self, now: Instant) {
        if !self.broken {
            return;
        }
        if let Some(Missing { since, first, lost }) = self.missing.take() {
            let span = now.saturating_duration_since(since);
            self.stats.outages.add_unended(span);
            self.events.push(Event::Outage { first, lost, span, end: None });
        }
    }

    /// Counts the probes that were due while the first connection was being made.
    fn never_connected(&mut self, now: Instant) {
        self.schedule.begin(self.created);
        let mut ending = Ending::ConnectTimeout;
        if let Some(mut link) = self.links.pop() {
            let failures = link.give_up(now);
            ending = self.could_not_connect(failures, Some(link), now);
        }
        let count = self.schedule.take_overdue(now);
        self.stats.transmitted += count;
        let told = count.min(TURN as u64);
        for seq in 1..=told {
            self.lose(seq, self.created, Loss::Ended(ending));
        }
        self.stats.lost += count - told;
        if self.rules.keep_times {
            self.times.resize(usize::try_from(count).unwrap_or(usize::MAX), None);
        }
    }

    /// Diagnoses an answer that is not what was sent.
    fn different(&self) -> Diagnosis {
        let (foreign, corrupted) = (self.stats.foreign_bytes, self.stats.corrupted);
        let words = match (corrupted, self.first_difference) {
            (1, Some((_, at))) => {
                format!(
                    "1 probe came back changed: byte {at} is the first that is wrong or missing"
                )
            }
            (_, Some((seq, at))) => format!(
                "{corrupted} probes came back changed: in seq={seq}, byte {at} is the first that is wrong or missing"
            ),
            _ if foreign == 1 => "1 byte came that belongs to no probe".into(),
            _ => format!("{foreign} bytes came that belong to no probe"),
        };
        let offset = self.first_difference.map_or(0, |(_, at)| at as u64);
        let mut evidence = Evidence::new(Phase::Receive);
        evidence.peer = self.addr();
        evidence.returned = self.returned;
        Diagnosis::of(&Symptom::Different { words, offset }, &evidence)
    }
}
