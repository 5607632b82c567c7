//! Looking a name up without being its prisoner: getaddrinfo(3) may hang for half a minute and
//! takes no interruption.

use std::{
    net::SocketAddr,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tcpecho::{
    Endpoint, Family, ResolveError,
    internal::lookup::{Lookup, is_address},
};

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
    let Some(lookup) = Lookup::start(endpoint, family) else {
        return endpoint.resolve(family).map_err(NoAddress::Failed);
    };
    let gave_up = |reason: String| {
        let why = tcpecho::NoAddress::Unanswered;
        NoAddress::Failed(ResolveError { host: endpoint.host.clone(), reason, why })
    };
    match wait(&lookup, limit, signals) {
        Ok(Some(())) => {
            let answer = lookup.answer().unwrap_or_else(|| endpoint.resolve(family));
            answer.map_err(NoAddress::Failed)
        }
        Ok(None) => Err(NoAddress::Interrupted),
        Err(waited) => Err(gave_up(format!(
            "the resolver did not answer within {}",
            tcpecho::internal::show_duration(waited)
        ))),
    }
}

/// Some when done, none when a signal came, and the time waited when that was too long.
fn wait(
    lookup: &Lookup,
    limit: Option<Duration>,
    signals: &Signals,
) -> Result<Option<()>, Duration> {
    let start = Instant::now();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let (done, signals) = (lookup.as_fd(), signals.as_fd());
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
