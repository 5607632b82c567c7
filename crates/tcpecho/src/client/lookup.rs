//! Name resolution in a thread: getaddrinfo(3) may take half a minute and cannot be interrupted.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::{Endpoint, Family, ResolveError};

/// The most threads that resolve names at the same time. Each may take as long as the resolver does, and none can be
/// ended, so the limit is one for the whole process.
const MOST: usize = 64;
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// The addresses of a name, or why there are none.
pub type Answer = Result<Vec<SocketAddr>, ResolveError>;

/// A name resolution in a thread of its own. Dropping it does not end the thread, only discards the answer.
#[derive(Debug)]
pub struct Lookup {
    answer: mpsc::Receiver<Answer>,
    /// Readable once there is an answer.
    done: OwnedFd,
}

impl Lookup {
    /// Starts to resolve a name. `None` if no thread can be started, or too many are resolving names already.
    #[must_use]
    pub fn start(endpoint: &Endpoint, family: Family) -> Option<Self> {
        let slot = Slot::take()?;
        let (done, hold) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        let (sender, answer) = mpsc::channel();
        let endpoint = endpoint.clone();
        let work = move || {
            let _ = sender.send(endpoint.resolve(family));
            drop((hold, slot));
        };
        thread::Builder::new().name("lookup".into()).spawn(work).ok()?;
        Some(Lookup { answer, done })
    }

    /// Returns the answer, once, if there is one. The descriptor of [`AsFd`] is readable then.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        self.answer.try_recv().ok()
    }
}

impl AsFd for Lookup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}

/// Returns whether the host is an address, which needs no resolver.
#[must_use]
pub fn is_address(endpoint: &Endpoint) -> bool {
    crate::endpoint::is_address(&endpoint.host)
}

/// One of the threads that may resolve names.
struct Slot;

impl Slot {
    fn take() -> Option<Self> {
        // `drop` gives it back, also one too many.
        let slot = Slot;
        (UNDER_WAY.fetch_add(1, Ordering::Relaxed) < MOST).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_resolve_names_are_limited() {
        let all: Vec<_> = (0..MOST).map_while(|_| Slot::take()).collect();
        assert!(Slot::take().is_none() && all.len() <= MOST);
        drop(all);
        assert!(Slot::take().is_some());
    }
}
