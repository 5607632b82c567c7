//! The ways of moving a thread's bytes: over readiness, or over completions.

pub(crate) mod epoll;
pub(crate) mod uring;

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::io::Errno;
use tcpecho::Error;

use super::worker::Worker;

/// What a [`Worker`] wants of whoever moves its bytes. Lines are named by their place.
pub(crate) trait Driver: Sized {
    /// Waits for a handshake.
    fn watch(&mut self, slot: usize, handshake: BorrowedFd<'_>) -> Result<(), Errno>;

    /// There is a connection, which receives from now on; `watched` if its handshake was waited for.
    fn begin(&mut self, slot: usize, socket: &Rc<OwnedFd>, watched: bool) -> Result<(), Errno>;

    /// The slot has something to send.
    fn push(&mut self, worker: &mut Worker, slot: usize, now: u64);

    /// The socket is done with.
    fn release(&mut self, slot: usize, socket: Rc<OwnedFd>);

    /// Whether nothing of the slot's former socket is under way.
    fn is_free(&self, slot: usize) -> bool;

    /// Waits until something happens or the moment has come, and tells the hand what happened.
    fn turn(&mut self, worker: &mut Worker, until: u64) -> Result<(), Error>;
}

/// Which driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverChoice {
    /// The first that this host offers, of those below
    Auto,
    /// Readiness: `epoll_wait`, recv, send
    Epoll,
    /// Completions: `io_uring`
    Uring,
}
