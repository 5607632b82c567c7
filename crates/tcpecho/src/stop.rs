//! A descriptor that becomes readable and stays readable (an eventfd(2) that is never read).

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use tcpecho_os::event_fd::EventFd;

use crate::Error;

/// An event that happens once; its descriptor becomes readable.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Arc<EventFd>);

impl Stop {
    /// A stop that has not been triggered.
    ///
    /// # Errors
    /// eventfd(2): no descriptor or no memory.
    pub(crate) fn new() -> Result<Self, Error> {
        EventFd::new()
            .map(|event| Stop(Arc::new(event)))
            .map_err(|errno| Error::new("eventfd", errno))
    }

    /// Makes the descriptor readable permanently. Triggering again changes nothing.
    pub(crate) fn trigger(&self) {
        self.0.set();
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clone_is_triggered_and_stays_so() {
        let stop = Stop::new().unwrap();
        let other = stop.clone();
        assert!(!stop.0.is_set() && !other.0.is_set());
        for _ in 0..3 {
            stop.trigger();
            assert!(stop.0.is_set() && other.0.is_set());
        }
        assert!(!Stop::new().unwrap().0.is_set());
    }
}
