//! The ways of moving a thread's bytes: over readiness, or over completions.

pub(super) mod epoll;
pub(super) mod uring;

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::io::Errno;
use tcpecho::Error;

use super::hand::Hand;

/// What a [`Hand`] wants of whoever moves its bytes. Lines are named by their place.
pub(super) trait Driver: Sized {
    /// Waits for a handshake.
    fn watch(&mut self, line: usize, handshake: BorrowedFd<'_>) -> Result<(), Errno>;

    /// There is a connection, which receives from now on; `watched` if its handshake was waited for.
    fn begin(&mut self, line: usize, socket: &Rc<OwnedFd>, watched: bool) -> Result<(), Errno>;

    /// The line has something to send.
    fn push(&mut self, hand: &mut Hand, line: usize, now: u64);

    /// The socket is done with.
    fn release(&mut self, line: usize, socket: Rc<OwnedFd>);

    /// Whether nothing of the line's former socket is under way.
    fn is_free(&self, line: usize) -> bool;

    /// Waits until something happens or the moment has come, and tells the hand what happened.
    fn turn(&mut self, hand: &mut Hand, until: u64) -> Result<(), Error>;
}

/// Which driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Choice {
    /// The first that this host offers, of those below
    Auto,
    /// Readiness: `epoll_wait`, recv, send
    Epoll,
    /// Completions: `io_uring`
    Uring,
}
