//! Looking a name up without being its prisoner: getaddrinfo(3) may hang for half a minute and
//! takes no interruption.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};
use tcpecho::{Endpoint, Family, ResolveError};

use crate::signals::Signals;

/// Why there are no addresses.
#[derive(Debug)]
pub(crate) enum NoAddress {
    /// The resolver's answer, or that it gave none in time.
    Failed(ResolveError),
    /// A signal came first; it is still to be read.
    Interrupted,
}

/// The addresses of `endpoint`, unless the time `limit` or a signal ends the wait.
pub(crate) fn lookup(
    endpoint: &Endpoint,
    family: Family,
    limit: Option<Duration>,
    signals: &Signals,
) -> Result<Vec<SocketAddr>, NoAddress> {
    // An address needs no resolver.
    if is_address(endpoint) {
        return endpoint.resolve(family).map_err(NoAddress::Failed);
    }
    let Some(Lookup { answer, done }) = Lookup::start(endpoint, family) else {
        return endpoint.resolve(family).map_err(NoAddress::Failed);
    };
    let gave_up = |reason: String| {
        let why = tcpecho::NoAddress::Unanswered;
        NoAddress::Failed(ResolveError { host: endpoint.host.clone(), reason, why })
    };
    match wait(&done, limit, signals) {
        Ok(Some(())) => {
            answer.recv().unwrap_or_else(|_| endpoint.resolve(family)).map_err(NoAddress::Failed)
        }
        Ok(None) => Err(NoAddress::Interrupted),
        Err(waited) => Err(gave_up(format!(
            "the resolver did not answer within {}",
            tcpecho::internal::show_duration(waited)
        ))),
    }
}

pub(crate) type Answer = Result<Vec<SocketAddr>, ResolveError>;

/// Threads that look a name up at the same time, at most: each may hang for as long as the resolver does.
const MOST: usize = 64;
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A thread that asks the resolver. Dropped, it is forgotten: nothing can interrupt it.
#[derive(Debug)]
pub(crate) struct Lookup {
    answer: mpsc::Receiver<Answer>,
    /// Readable when it has the answer.
    done: OwnedFd,
}

impl Lookup {
    /// None if there can be no thread, or no more of them.
    pub(crate) fn start(endpoint: &Endpoint, family: Family) -> Option<Self> {
        let counted = Counted::new()?;
        let (done, hold) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        let (sender, answer) = mpsc::channel();
        let endpoint = endpoint.clone();
        let work = move || {
            let _ = sender.send(endpoint.resolve(family));
            drop((hold, counted));
        };
        thread::Builder::new().name("lookup".into()).spawn(work).ok()?;
        Some(Lookup { answer, done })
    }

    /// The answer, once.
    pub(crate) fn answer(&self) -> Option<Answer> {
        self.answer.try_recv().ok()
    }
}

impl AsFd for Lookup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}

struct Counted;

impl Counted {
    fn new() -> Option<Self> {
        // Counted down again by `drop`, also of one too many.
        let counted = (UNDER_WAY.fetch_add(1, Ordering::Relaxed), Counted);
        (counted.0 < MOST).then_some(counted.1)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether it is an address, which no resolver has to look up.
pub(crate) fn is_address(endpoint: &Endpoint) -> bool {
    endpoint.host.parse::<IpAddr>().is_ok()
}

/// Some when done, none when a signal came, and the time waited when that was too long.
fn wait(
    done: &OwnedFd,
    limit: Option<Duration>,
    signals: &Signals,
) -> Result<Option<()>, Duration> {
    let start = Instant::now();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let (done, signals) = (done.as_fd(), signals.as_fd());
        let mut watched = [PollFd::new(&done, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        match poll(&mut watched, left.as_ref()) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(start.elapsed()),
            Ok(_) if watched[1].revents().is_empty() => return Ok(Some(())),
            Ok(_) => return Ok(None),
            // Without poll there is only waiting for the answer itself.
            Err(_) => return Ok(Some(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_look_up_are_counted() {
        let all: Vec<_> = (0..MOST).map_while(|_| Counted::new()).collect();
        assert!(Counted::new().is_none() && all.len() <= MOST);
        drop(all);
        assert!(Counted::new().is_some());
    }
}
