//! A descriptor with which one thread wakes another (eventfd(2)).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

/// How often a write is tried that fails for an unknown reason.
const ATTEMPTS: u32 = 5;

/// Readable from [`EventFd::set`] until [`EventFd::clear`].
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Makes one that is not set. It is non-blocking and is closed by execve(2).
    ///
    /// # Errors
    /// eventfd(2): `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new() -> Result<Self, Errno> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(EventFd)
    }

    /// Makes the descriptor readable. Setting it again changes nothing.
    pub fn set(&self) {
        // EAGAIN means that the counter is full, so the descriptor is readable already. No other error is documented, but a
        // thread that is not woken may wait for ever.
        for _ in 0..ATTEMPTS {
            match rustix::io::write(&self.0, &1_u64.to_ne_bytes()) {
                Ok(_) | Err(Errno::AGAIN) => return,
                Err(_) => {}
            }
        }
    }

    /// Makes the descriptor unreadable.
    pub fn clear(&self) {
        // EAGAIN means that it is not set.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1))
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_set_until_it_is_cleared() {
        let event = EventFd::new().unwrap();
        assert!(!event.is_set());
        event.clear();
        event.set();
        event.set();
        assert!(event.is_set());
        event.clear();
        assert!(!event.is_set());
    }
}
