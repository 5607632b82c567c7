//! A descriptor that becomes readable and stays so (an eventfd(2) that nobody reads).

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use tcpecho_os::event_fd::EventFd;

use crate::Error;

/// Something has been decided, once and for all; whoever polls the descriptor learns of it.
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

    /// Makes the descriptor readable for ever. Triggering again changes nothing.
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
    fn it_is_triggered_once_and_for_all_who_hold_it() {
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
