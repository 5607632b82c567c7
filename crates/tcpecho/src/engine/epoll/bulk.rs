//! Bulk by splice(2): bytes go from socket to pipe to socket without being copied. Pipes are pooled, because one for each
//! connection would cost two descriptors more each.

use std::os::fd::OwnedFd;

use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice},
};
use tcpecho_os::limits::descriptors;

/// A read of this much is bulk; this many in a row, and a connection gets a pipe.
const BIG: usize = 32 << 10;
const BIG_IN_A_ROW: u8 = 2;
/// Moves of less than `BIG`, in a row, after which the pipe is given back.
const SMALL_IN_A_ROW: u8 = 16;
/// What a pipe holds, if the system lets it (pipe(7), `pipe-max-size`).
const PIPE_SIZE: usize = 1 << 20;
/// Pipes of one loop, lent and free; a connection that gets none goes on copying.
const MOST: usize = 32;
/// The part of the descriptors that pipes may take: of a common limit the whole of [`MOST`].
const PART: u64 = 16;
/// The limit on descriptors where it cannot be asked for.
const COMMON_LIMIT: u64 = 1024;

/// Pipes that each of so many loops may have under the limit on descriptors.
pub(super) fn most(loops: usize) -> usize {
    let limit = descriptors().map_or(COMMON_LIMIT, |(limit, _)| limit);
    MOST.min(usize::try_from(limit / PART / 2).unwrap_or(usize::MAX) / loops.max(1))
}

/// A pipe that one connection uses.
pub(super) struct Bulk {
    read: OwnedFd,
    write: OwnedFd,
    size: usize,
    held: usize,
    small: u8,
}

/// The result of one turn of bulk.
#[derive(Default)]
pub(super) struct Step {
    pub(super) received: usize,
    pub(super) sent: usize,
    /// The pipe is not needed any more, or cannot pass what is next.
    pub(super) give_back: bool,
}

impl Bulk {
    fn new() -> Result<Self, Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let size = fcntl_setpipe_size(&write, PIPE_SIZE).unwrap_or(64 << 10);
        Ok(Bulk { read, write, size, held: 0, small: 0 })
    }

    /// Nothing is pending.
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// At most one pipe-full, in and out.
    pub(super) fn turn(&mut self, socket: &OwnedFd) -> Result<Step, Errno> {
        let mut step = Step::default();
        if self.held == 0 {
            match self.fill(socket) {
                Ok(held) if held > 0 => step.received = held,
                // Readable and yet nothing to splice: the peer's FIN, or an urgent mark, which only recv passes. When the
                // FIN lies behind the mark, splice says 0 all the same, so it is recv that has to tell.
                Ok(_) | Err(Errno::AGAIN | Errno::INVAL) => {
                    step.give_back = true;
                    return Ok(step);
                }
                Err(Errno::INTR) => return Ok(step),
                Err(errno) => return Err(errno),
            }
        }
        step.sent = self.empty(socket)?;
        step.give_back = self.held == 0 && self.small >= SMALL_IN_A_ROW;
        Ok(step)
    }

    fn fill(&mut self, socket: &OwnedFd) -> Result<usize, Errno> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        self.held = splice(socket, None, &self.write, None, self.size, flags)?;
        self.small = if self.held < BIG { self.small.saturating_add(1) } else { 0 };
        Ok(self.held)
    }

    fn empty(&mut self, socket: &OwnedFd) -> Result<usize, Errno> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match splice(&self.read, None, socket, None, self.held, flags) {
            Ok(sent) => {
                self.held -= sent;
                Ok(sent)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(errno) => Err(errno),
        }
    }
}

/// The pipes of a loop.
pub(super) struct Pipes {
    free: Vec<Bulk>,
    lent: usize,
    most: usize,
}

impl Pipes {
    pub(super) fn new(most: usize) -> Self {
        Pipes { free: Vec::new(), lent: 0, most }
    }

    /// A pipe for a connection that has just moved `bytes` in one turn, once it is seen to be bulk. `streak` is its memory.
    pub(super) fn lend(&mut self, bytes: usize, streak: &mut u8) -> Option<Bulk> {
        *streak = if bytes < BIG { 0 } else { streak.saturating_add(1) };
        if *streak < BIG_IN_A_ROW || self.lent >= self.most {
            return None;
        }
        *streak = 0;
        let bulk = self.free.pop().map_or_else(Bulk::new, Ok).ok()?;
        self.lent += 1;
        Some(bulk)
    }

    /// A pipe comes back; one with bytes of a dead connection in it is closed.
    pub(super) fn take_back(&mut self, mut bulk: Bulk) {
        self.lent -= 1;
        if bulk.is_empty() {
            bulk.small = 0;
            self.free.push(bulk);
        }
    }
}
