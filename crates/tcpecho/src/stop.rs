//! A descriptor that becomes readable and stays so (an eventfd(2) that nobody reads).

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
};

use crate::Error;

/// How often a write that fails is tried.
const ATTEMPTS: u32 = 5;

/// Something has been decided, once and for all; whoever polls the descriptor learns of it.
#[derive(Debug, Clone)]
pub struct Stop(Arc<OwnedFd>);

impl Stop {
    /// A stop that has not been triggered.
    ///
    /// # Errors
    /// eventfd(2): no descriptor or no memory.
    pub fn new() -> Result<Self, Error> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        eventfd(0, flags).map(|fd| Stop(Arc::new(fd))).map_err(|errno| Error::new("eventfd", errno))
    }

    /// Makes the descriptor readable for ever. Triggering again changes nothing.
    pub fn trigger(&self) {
        // EAGAIN means that the counter is full, so the descriptor is readable already. No other error is known, but a stop
        // that nobody learns of is a server that does not end.
        for _ in 0..ATTEMPTS {
            match rustix::io::write(&*self.0, &1u64.to_ne_bytes()) {
                Ok(_) | Err(Errno::AGAIN) => return,
                Err(_) => {}
            }
        }
    }

    /// Whether it has been triggered.
    #[must_use]
    pub fn triggered(&self) -> bool {
        let mut fds = [PollFd::new(&*self.0, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&rustix::event::Timespec::default())), Ok(1))
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
