//! The event loops of a worker: readiness (epoll) or completions (`io_uring`).
//!
//! A driver knows sockets, and not what is sent on them. The worker calls [`Driver::wait`] and takes all events
//! with [`Driver::next_event`]. Acting on an event, it may call any other method. Connections are named by
//! their slot, a number below the one that the driver was made for.

pub(crate) mod epoll;
pub(crate) mod uring;

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::io::Errno;
use tcpecho::Error;

/// What happened to a slot.
///
/// `Handshake`, `Writable` and `Free` may be older than what the worker has done since: they are hints, which the
/// worker checks against the state of the slot. The others are about the slot's current socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The handshake may have finished.
    Handshake(usize),
    /// Bytes were received. [`Driver::received`] has them until the next event is taken.
    Received(usize),
    /// The peer's FIN was received.
    EndOfFile(usize),
    /// The socket can take more bytes.
    Writable(usize),
    /// Nothing of the slot's former socket is under way any more.
    Free(usize),
    /// A call on the socket failed.
    Failed(usize, &'static str, Errno),
}

/// Moves the bytes of a worker.
pub(crate) trait Driver {
    /// Waits for a handshake.
    fn watch(&mut self, slot: usize, handshake: BorrowedFd<'_>) -> Result<(), Errno>;

    /// Receives from a connected socket from now on. `watched` if its handshake was waited for.
    fn attach(&mut self, slot: usize, socket: &Rc<OwnedFd>, watched: bool) -> Result<(), Errno>;

    /// Returns the bytes of the latest [`Event::Received`].
    fn received(&self) -> &[u8];

    /// Sends bytes and returns how many of them are taken. EAGAIN if it takes none now.
    fn send(&mut self, slot: usize, bytes: &[u8]) -> Result<usize, Errno>;

    /// Chooses whether [`Event::Writable`] is wanted whenever the socket can take bytes.
    fn set_writable(&mut self, slot: usize, wanted: bool) -> Result<(), Errno>;

    /// Takes a socket out of the loop and closes it.
    fn release(&mut self, slot: usize, socket: Rc<OwnedFd>);

    /// Returns whether nothing of the slot's former socket is under way. [`Event::Free`] follows if not.
    fn is_free(&self, slot: usize) -> bool;

    /// Waits for an event, until `until` on the monotonic clock at the latest. `precise` if a few microseconds
    /// matter. All events of the last wait must have been taken.
    fn wait(&mut self, until: u64, precise: bool) -> Result<(), Error>;

    /// Returns the next event of the last wait.
    fn next_event(&mut self) -> Result<Option<Event>, Error>;
}

/// Chooses a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverChoice {
    /// The first that this host offers, of those below.
    Auto,
    /// Readiness: epoll_wait(2), recv(2), send(2).
    Epoll,
    /// Completions: io_uring(7).
    Uring,
}
