//! How a run ends early.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use tcpecho::Error;
use tcpecho_os::event_fd::EventFd;

/// A descriptor that is readable from [`WakeUp::set`] to [`WakeUp::clear`].
#[derive(Debug)]
pub(crate) struct WakeUp(EventFd);

impl WakeUp {
    pub(crate) fn new() -> Result<Self, Error> {
        EventFd::new().map(WakeUp).map_err(|errno| Error::new("eventfd", errno))
    }

    pub(crate) fn set(&self) {
        self.0.set();
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}

impl AsFd for WakeUp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The request to end early: a flag for running threads, a descriptor for sleeping ones.
#[derive(Debug)]
pub(crate) struct Stop {
    flag: AtomicBool,
    at_once: AtomicBool,
    wake_up: WakeUp,
}

impl Stop {
    pub(crate) fn new() -> Result<Self, Error> {
        let (flag, at_once) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { flag, at_once, wake_up: WakeUp::new()? })
    }

    pub(crate) fn set(&self) {
        self.flag.store(true, Relaxed);
        self.wake_up.set();
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
        self.wake_up.as_fd()
    }
}
