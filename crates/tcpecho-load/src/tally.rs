//! What a run counts. Every worker has its own tally; the sum of all is exact.

use tcpecho::{Ending, internal::ENDINGS};

use crate::histogram::Times;

/// Counters and latencies of a time.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Messages answered completely. If every connection makes one exchange: exchanges.
    pub messages: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Connections established.
    pub connections: u64,
    /// Messages without an answer on connections that broke.
    pub lost: u64,
    /// Bytes that were sent on connections that ended, and not received.
    pub lost_bytes: u64,
    /// Messages without an answer at the end. The latencies contain the time that each had waited until then.
    pub unanswered: u64,
    /// Messages that are not in `service`, because this program was paused between request and answer.
    pub across_pauses: u64,
    /// Response times: from when a request was due to its answer. Empty in a closed loop.
    pub response: Times,
    /// Service times: from when a request was sent to its answer.
    pub service: Times,
    /// From connect(2) to the established connection.
    pub connect: Times,
    /// Requests that became due.
    pub due: u64,
    /// Nanoseconds by which the generator was late for them, in all.
    pub late_sum: u64,
    /// Nanoseconds by which the generator was late, at most.
    pub late_max: u64,
    /// How connections ended, in the order of [`ENDINGS`], and a sentence about the first of each kind.
    endings: Vec<u64>,
    firsts: Vec<Option<String>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// Creates a tally of nothing.
    #[must_use]
    pub fn new() -> Self {
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

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.sent += other.sent;
        self.received += other.received;
        self.connections += other.connections;
        self.add_aside(other);
    }

    /// Adds everything but the throughput, for what came after the measured time.
    pub fn add_aside(&mut self, other: &Self) {
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
    pub fn add_endings(&mut self, other: &Self) {
        for (count, more) in self.endings.iter_mut().zip(&other.endings) {
            *count += more;
        }
        for (first, other) in self.firsts.iter_mut().zip(&other.firsts) {
            if first.is_none() {
                first.clone_from(other);
            }
        }
    }

    /// Counts how a connection ended. `words` is called for the first of a kind only.
    pub(crate) fn ended(&mut self, ending: Ending, words: impl FnOnce() -> String) {
        self.endings[ending as usize] += 1;
        let first = &mut self.firsts[ending as usize];
        if first.is_none() && ending != Ending::Finished {
            *first = Some(words());
        }
    }

    /// Returns every ending but `finished` that occurred, with its count and a sentence about the first.
    pub fn errors(&self) -> impl Iterator<Item = (Ending, u64, Option<&str>)> {
        ENDINGS
            .iter()
            .map(|row| row.ending)
            .filter(|ending| *ending != Ending::Finished)
            .filter_map(|ending| {
                let count = self.endings[ending as usize];
                (count > 0).then(|| (ending, count, self.firsts[ending as usize].as_deref()))
            })
    }

    /// Returns how many connections ended otherwise than `finished`.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors().map(|(_, count, _)| count).sum()
    }

    pub(crate) fn note_late(&mut self, late: u64) {
        self.due += 1;
        self.late_sum += late;
        self.late_max = self.late_max.max(late);
    }

    /// Returns the response times if there is a schedule, otherwise the service times.
    #[must_use]
    pub fn latency(&self) -> &Times {
        if self.response.is_empty() { &self.service } else { &self.response }
    }
}
