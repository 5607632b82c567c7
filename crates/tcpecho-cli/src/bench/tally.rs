//! What a run counts. Every thread has a tally of its own; adding them up loses nothing.

use tcpecho::{Ending, internal::ENDINGS};

use super::histogram::Times;

/// Counters and latencies of one stretch of time.
#[derive(Clone)]
pub(super) struct Tally {
    /// Messages answered whole; for `crr`, connections gone through whole.
    pub(super) messages: u64,
    /// Bytes handed to sockets, and bytes that came back.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Connections made.
    pub(super) connections: u64,
    /// Messages under way on a connection that broke, and bytes that had not come back on it.
    pub(super) lost: u64,
    pub(super) lost_bytes: u64,
    /// Messages that never were answered; their times so far are in the latencies.
    pub(super) unanswered: u64,
    /// Messages whose service time contains a pause of this program, and so is not in `service`.
    pub(super) across_pauses: u64,
    /// From when a request was due to its answer. Empty in a closed loop.
    pub(super) response: Times,
    /// From when a request was sent to its answer.
    pub(super) service: Times,
    /// From connect(2) to the established connection.
    pub(super) connect: Times,
    /// How late the generator itself came to a request that was due: how many, in all, at most.
    pub(super) due: u64,
    pub(super) late_sum: u64,
    pub(super) late_max: u64,
    /// How connections ended, by the table of endings, and what the first of each kind was.
    endings: Vec<u64>,
    firsts: Vec<Option<String>>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            messages: 0,
            sent: 0,
            received: 0,
            connections: 0,
            lost: 0,
            lost_bytes: 0,
            unanswered: 0,
            across_pauses: 0,
            response: Times::new(),
            service: Times::new(),
            connect: Times::new(),
            due: 0,
            late_sum: 0,
            late_max: 0,
            endings: vec![0; ENDINGS.len()],
            firsts: vec![None; ENDINGS.len()],
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.sent += other.sent;
        self.received += other.received;
        self.connections += other.connections;
        self.add_aside(other);
    }

    /// Adds all but the throughput: what came after the end of the measured time.
    pub(super) fn add_aside(&mut self, other: &Self) {
        self.lost += other.lost;
        self.lost_bytes += other.lost_bytes;
        self.unanswered += other.unanswered;
        self.across_pauses += other.across_pauses;
        self.response.add(&other.response);
        self.service.add(&other.service);
        self.connect.add(&other.connect);
        self.due += other.due;
        self.late_sum += other.late_sum;
        self.late_max = self.late_max.max(other.late_max);
        self.add_endings(other);
    }

    /// Adds only how connections ended.
    pub(super) fn add_endings(&mut self, other: &Self) {
        for (count, more) in self.endings.iter_mut().zip(&other.endings) {
            *count += more;
        }
        for (first, other) in self.firsts.iter_mut().zip(&other.firsts) {
            if first.is_none() {
                first.clone_from(other);
            }
        }
    }

    /// Counts how a connection ended; only the first of a kind is put into words.
    pub(super) fn ended(&mut self, ending: Ending, words: impl FnOnce() -> String) {
        self.endings[ending as usize] += 1;
        let first = &mut self.firsts[ending as usize];
        if first.is_none() && ending != Ending::Finished {
            *first = Some(words());
        }
    }

    /// Every ending but `finished` that occurred, with its count and its first occurrence.
    pub(super) fn errors(&self) -> impl Iterator<Item = (Ending, u64, Option<&str>)> {
        ENDINGS
            .iter()
            .map(|row| row.ending)
            .filter(|ending| *ending != Ending::Finished)
            .filter_map(|ending| {
                let count = self.endings[ending as usize];
                (count > 0).then(|| (ending, count, self.firsts[ending as usize].as_deref()))
            })
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors().map(|(_, count, _)| count).sum()
    }

    pub(super) fn note_late(&mut self, late: u64) {
        self.due += 1;
        self.late_sum += late;
        self.late_max = self.late_max.max(late);
    }

    /// The latency that counts: the response time where there is a schedule, else the service time.
    pub(super) fn latency(&self) -> &Times {
        if self.response.is_empty() { &self.service } else { &self.response }
    }
}
