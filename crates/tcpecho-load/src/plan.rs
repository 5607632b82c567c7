//! What a run is to do.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use tcpecho::{Endpoint, Family};

use crate::{clock::nanos, driver::DriverChoice, profile::Profile};

/// What becomes of a connection after its exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It stays open for the next exchange.
    KeepOpen,
    /// It is reset, so that no port stays in `TIME_WAIT`, and a new connection is made.
    Reset,
    /// It is closed with a FIN in both directions, and a new connection is made.
    Close,
}

/// A load: which connections, what they send, for how long, and from which threads and processors.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server's address.
    pub addr: SocketAddr,
    /// The server's name, if it was given by name. It is resolved again when connections fail.
    pub name: Option<(Endpoint, Family)>,
    /// What every connection sends.
    pub profile: Profile,
    /// What becomes of a connection after its exchange.
    pub after: After,
    /// Whether every connection makes one exchange when it is new and is silent from then on.
    pub idle: bool,
    /// The numbers of the connections that this run makes, of [`Profile::flows`] in all. Must not be empty.
    pub connections: Vec<u64>,
    /// Worker threads, at least 1; never more than there are connections.
    pub threads: usize,
    /// Processors of the worker threads, taken in turn. Empty leaves the choice to the kernel.
    pub cpus: Vec<usize>,
    /// Whether a thread that may not run on its processor is an error. Otherwise it is a note.
    pub cpus_required: bool,
    /// How the workers wait for their sockets.
    pub driver: DriverChoice,
    /// Local addresses to connect from, taken in turn. Empty leaves the choice to the kernel.
    pub sources: Vec<SocketAddr>,
    /// Connections per second of the whole run while they are made at the start.
    pub connect_rate: Option<f64>,
    /// A connection that owes bytes and returns none for this long has failed.
    pub timeout: Duration,
    /// How long to wait at the end for answers, and then for the peers' FINs.
    pub grace: Duration,
    /// Length of the intervals in which counts are reported.
    pub interval: Duration,
    /// Time before the measured time, under the same load.
    pub warmup: Duration,
    /// The measured time. Not used if there is a number of messages.
    pub duration: Duration,
    /// Ends the run after this many messages instead.
    pub messages: Option<u64>,
    /// When to begin, for runs of several machines. `None` begins when the connections are made.
    pub start_at: Option<SystemTime>,
}

impl Plan {
    /// Creates a closed loop of one connection and one thread that is measured for one second.
    #[must_use]
    pub fn new(addr: SocketAddr, profile: Profile) -> Self {
        Self {
            addr,
            name: None,
            profile,
            after: After::KeepOpen,
            idle: false,
            connections: vec![0],
            threads: 1,
            cpus: Vec::new(),
            cpus_required: false,
            driver: DriverChoice::Auto,
            sources: Vec::new(),
            connect_rate: None,
            timeout: Duration::from_secs(5),
            grace: Duration::from_secs(1),
            interval: Duration::from_secs(1),
            warmup: Duration::ZERO,
            duration: Duration::from_secs(1),
            messages: None,
            start_at: None,
        }
    }

    /// Returns the numbers of the connections of each thread.
    pub(crate) fn shares(&self) -> Vec<Vec<u64>> {
        let threads = self.threads.min(self.connections.len()).max(1);
        let mut shares = vec![Vec::new(); threads];
        for (place, number) in self.connections.iter().enumerate() {
            shares[place % threads].push(*number);
        }
        shares
    }

    /// Returns how many messages one of so many threads may send.
    pub(crate) fn budget(&self, thread: usize, threads: usize) -> u64 {
        match self.messages {
            None => u64::MAX,
            Some(messages) => {
                let each = messages.div_ceil(threads as u64);
                // The last thread has what is left.
                each.min(messages.saturating_sub(thread as u64 * each))
            }
        }
    }

    /// Returns the measured time in nanoseconds, as good as endless if messages are counted.
    pub(crate) fn length(&self) -> u64 {
        if self.messages.is_some() { u64::MAX / 4 } else { nanos(self.duration) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connections: u64, threads: usize, messages: Option<u64>) -> Plan {
        Plan {
            connections: (0..connections).collect(),
            threads,
            messages,
            ..Plan::new("127.0.0.1:7".parse().unwrap(), Profile::new(vec![64]))
        }
    }

    #[test]
    fn threads_share_connections_and_messages() {
        let three = plan(7, 3, Some(10));
        assert_eq!(three.shares(), [vec![0, 3, 6], vec![1, 4], vec![2, 5]]);
        assert_eq!([0, 1, 2].map(|thread| three.budget(thread, 3)), [4, 4, 2]);
        assert_eq!(plan(2, 8, None).shares().len(), 2);
        assert_eq!([0, 1, 2].map(|thread| plan(9, 3, Some(2)).budget(thread, 3)), [1, 1, 0]);
        assert_eq!(plan(1, 1, None).budget(0, 1), u64::MAX);
    }
}
