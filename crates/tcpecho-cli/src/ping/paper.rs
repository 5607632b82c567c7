//! Standard output as lines, written without waiting: who reads slowly may not delay the probes, whose times would show
//! it.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{relay::Output, signals::Signals};

/// Bytes that may wait.
const MOST: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Paper {
    output: Output,
    waiting: Vec<u8>,
    lost: u64,
    failed: Option<Errno>,
}

impl Paper {
    pub(super) fn stdout() -> Self {
        Paper { output: Output::stdout(), waiting: Vec::new(), lost: 0, failed: None }
    }

    /// Takes a line, without its newline. One that has no room is counted, which is told later.
    pub(super) fn line(&mut self, text: &str) {
        if self.waiting.len() < MOST / 2 {
            self.tell_lost();
        }
        if self.waiting.len() + text.len() >= MOST {
            self.lost += 1;
            return;
        }
        self.waiting.extend_from_slice(text.as_bytes());
        self.waiting.push(b'\n');
    }

    fn tell_lost(&mut self) {
        if let lost @ 1.. = std::mem::take(&mut self.lost) {
            let note = format!("{lost} lines lost: they came faster than they were read\n");
            self.waiting.extend_from_slice(note.as_bytes());
        }
    }

    /// Takes bytes as they are, if there is room.
    pub(super) fn raw(&mut self, text: &str) {
        if self.waiting.len() + text.len() < MOST {
            self.waiting.extend_from_slice(text.as_bytes());
        }
    }

    /// Something waits.
    pub(super) fn wants(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Why nothing more can be written; `EPIPE` when its reader has gone.
    pub(super) fn failed(&self) -> Option<Errno> {
        self.failed
    }

    /// What to poll for.
    pub(super) fn interest(&self) -> PollFlags {
        if self.wants() { PollFlags::OUT } else { PollFlags::empty() }
    }

    /// It polled ready: writes what can be written now.
    pub(super) fn write(&mut self) {
        // Nothing was asked and still something is said: the reader is gone.
        if self.waiting.is_empty() {
            self.failed = Some(Errno::PIPE);
        }
        match self.output.write(&self.waiting) {
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => {
                self.waiting.clear();
                self.failed = Some(errno);
            }
        }
    }

    /// Writes what waits, until it is written, a signal that ends things comes, or `patience` ends.
    pub(super) fn finish(&mut self, signals: &Signals, patience: Duration) {
        let end = Instant::now() + patience;
        self.tell_lost();
        while self.wants() && self.failed.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            let left_spec = Timespec::try_from(left).ok();
            let mut watched =
                [PollFd::new(&self.output, PollFlags::OUT), PollFd::new(signals, PollFlags::IN)];
            let polled = poll(&mut watched, left_spec.as_ref());
            let [output, signal] = watched.map(|fd| !fd.revents().is_empty());
            match polled {
                Err(Errno::INTR) => {}
                Err(_) | Ok(0) => return,
                Ok(_) if output => self.write(),
                Ok(_) if signal && is_enough(signals) => return,
                Ok(_) => {}
            }
        }
    }
}

/// Whether the user has had enough, for the second time.
fn is_enough(signals: &Signals) -> bool {
    signals.next().is_some_and(|signal| !matches!(signal, Signal::SIGQUIT | Signal::SIGWINCH))
}

impl AsFd for Paper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}
