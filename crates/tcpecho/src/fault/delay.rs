//! Leaves connections in the accept queue for a while.

use std::time::{Duration, Instant};

use tcpecho_os::tcp_info::listen_queue;

use crate::accept_queue::Queue;

/// Lets connections be accepted in rounds. A round counts the connections that are queued at its beginning; they are
/// accepted when the delay is over. So each connection waits for one delay at least, and for less than two.
pub(crate) struct AcceptDelay {
    time: Duration,
    /// The end of the round, and the connections of each listener that were counted at its beginning.
    round: Option<(Instant, Vec<u32>)>,
    /// Connections of each listener that may be accepted now.
    admitted: Vec<u32>,
}

/// Whether accept(2) may be called.
pub(crate) enum Admission {
    Now,
    /// No connection was queued, or other listeners come first.
    NotNow,
    After(Instant),
}

impl AcceptDelay {
    pub(crate) fn new(time: Duration, listeners: usize) -> Self {
        AcceptDelay { time, round: None, admitted: vec![0; listeners] }
    }

    /// Returns whether a connection of this listener may be accepted.
    pub(crate) fn admit(&mut self, index: usize, queues: &[Queue]) -> Admission {
        // A drain serves what is queued at once, and its listeners change their places.
        if queues[index].left.is_some() {
            return Admission::Now;
        }
        let now = Instant::now();
        if let Some((_, counted)) = self.round.take_if(|(end, _)| *end <= now) {
            self.admitted = counted;
        }
        if self.admitted[index] > 0 {
            self.admitted[index] -= 1;
            return Admission::Now;
        }
        if let Some((end, _)) = &self.round {
            return Admission::After(*end);
        }
        // Without a count, one at a time.
        let count = |queue: &Queue| listen_queue(&queue.listener).map_or(1, |queue| queue.length);
        let counted: Vec<u32> = queues.iter().map(count).collect();
        // The others finish their round first.
        if counted[index] == 0 || self.admitted.iter().any(|left| *left > 0) {
            return Admission::NotNow;
        }
        let end = now + self.time;
        self.round = Some((end, counted));
        Admission::After(end)
    }

    /// The queue of this listener is empty.
    pub(crate) fn is_empty(&mut self, index: usize) {
        if let Some(left) = self.admitted.get_mut(index) {
            *left = 0;
        }
    }
}
