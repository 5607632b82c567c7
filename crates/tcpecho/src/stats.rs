//! The counters of a server. Every counter except `active` only grows.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use rustix::io::Errno;
use tcpecho_os::shared::SharedWords;

use crate::{Ending, Error, ending::ENDINGS};

/// The counters of a running server. Bytes stand in shared memory, where a child process can count too.
pub(crate) struct Stats {
    pub(crate) accepted: AtomicU64,
    pub(crate) active: AtomicUsize,
    pub(crate) accept_failures: AtomicU64,
    pub(crate) faults: AtomicU64,
    endings: [AtomicU64; ENDINGS.len()],
    shared: SharedWords,
}

impl Stats {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Stats {
            accepted: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            accept_failures: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            endings: [const { AtomicU64::new(0) }; ENDINGS.len()],
            shared: SharedWords::new(1).map_err(|errno: Errno| Error::new("mmap", errno))?,
        })
    }

    /// Bytes echoed so far.
    pub(crate) fn bytes(&self) -> &AtomicU64 {
        &self.shared[0]
    }

    pub(crate) fn ended(&self, ending: Ending) {
        self.endings[ending as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let endings = ENDINGS
            .iter()
            .map(|row| (row.ending, self.endings[row.ending as usize].load(Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect();
        Snapshot {
            accepted: self.accepted.load(Relaxed),
            active: self.active.load(Relaxed) as u64,
            refused: self.endings[Ending::Limit as usize].load(Relaxed),
            bytes: self.bytes().load(Relaxed),
            accept_failures: self.accept_failures.load(Relaxed),
            faults: self.faults.load(Relaxed),
            endings,
        }
    }
}

/// A server's counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// Connections accepted, including those that were refused.
    pub accepted: u64,
    /// Connections that are being served.
    pub active: u64,
    /// Connections closed because of a limit.
    pub refused: u64,
    /// Bytes echoed: accepted by the kernel for sending.
    pub bytes: u64,
    /// Failed calls of accept(2), which are retried.
    pub accept_failures: u64,
    /// Connections that were given a fault.
    pub faults: u64,
    /// The number of connections for each ending that has occurred.
    pub endings: Vec<(Ending, u64)>,
}

impl Snapshot {
    /// Returns the number of connections with this ending.
    #[must_use]
    pub fn ended(&self, ending: Ending) -> u64 {
        self.endings.iter().find(|(e, _)| *e == ending).map_or(0, |(_, count)| *count)
    }
}
