//! Looking a name up without being its prisoner: getaddrinfo(3) may hang for half a minute and
//! takes no interruption.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    sync::mpsc,
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
    if endpoint.host.parse::<IpAddr>().is_ok() {
        return endpoint.resolve(family).map_err(NoAddress::Failed);
    }
    let Some((answer, done)) = ask(endpoint, family) else {
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
        Err(waited) => Err(gave_up(format!("the resolver did not answer within {waited:.1?}"))),
    }
}

type Answer = Result<Vec<SocketAddr>, ResolveError>;

/// A thread that asks; the descriptor becomes readable when it has the answer. None if there can be
/// no thread.
fn ask(endpoint: &Endpoint, family: Family) -> Option<(mpsc::Receiver<Answer>, OwnedFd)> {
    let (done, hold) = pipe_with(PipeFlags::CLOEXEC).ok()?;
    let (sender, answer) = mpsc::channel();
    let endpoint = endpoint.clone();
    let work = move || {
        let _ = sender.send(endpoint.resolve(family));
        drop(hold);
    };
    thread::Builder::new().name("lookup".into()).spawn(work).ok()?;
    Some((answer, done))
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
