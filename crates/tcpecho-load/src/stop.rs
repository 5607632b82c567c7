//! How a run ends early.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use tcpecho::Error;
use tcpecho_os::event_fd::EventFd;

/// A descriptor that is readable from [`Bell::ring`] to [`Bell::silence`].
#[derive(Debug)]
pub(crate) struct Bell(EventFd);

impl Bell {
    pub(crate) fn new() -> Result<Self, Error> {
        EventFd::new().map(Bell).map_err(|errno| Error::new("eventfd", errno))
    }

    pub(crate) fn ring(&self) {
        self.0.set();
    }

    pub(crate) fn silence(&self) {
        self.0.clear();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The request to end early: a flag for running threads, a descriptor for sleeping ones.
#[derive(Debug)]
pub(crate) struct Stop {
    flag: AtomicBool,
    at_once: AtomicBool,
    bell: Bell,
}

impl Stop {
    pub(crate) fn new() -> Result<Self, Error> {
        let (flag, at_once) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { flag, at_once, bell: Bell::new()? })
    }

    pub(crate) fn set(&self) {
        self.flag.store(true, Relaxed);
        self.bell.ring();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.flag.load(Relaxed)
    }

    /// Asks not to wait for answers either.
    pub(crate) fn set_at_once(&self) {
        self.at_once.store(true, Relaxed);
    }

    pub(crate) fn is_at_once(&self) -> bool {
        self.at_once.load(Relaxed)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
