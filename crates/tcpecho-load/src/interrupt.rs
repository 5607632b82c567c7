//! Ends a run early.

use std::os::fd::BorrowedFd;

/// How to end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopping {
    /// Send nothing new, wait for answers that are under way, close in order.
    Drain,
    /// Wait for nothing.
    AtOnce,
}

/// Tells a run to end early. `()` never does.
pub trait Interrupt {
    /// Returns the descriptor that becomes readable when [`Interrupt::poll`] has something to return.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Returns how the run is to end, once for each request. Called often; must not block.
    fn poll(&self) -> Option<Stopping>;
}

impl Interrupt for () {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn poll(&self) -> Option<Stopping> {
        None
    }
}
