//! The name of a target, resolved again while it is probed, so that a service that has moved is found.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use tcpecho::{
    ResolveError,
    internal::lookup::{Lookup, is_address},
};

use crate::plan::Name;

/// How long a connection waits for the resolver before it uses the known addresses.
const LOOKUP_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Names {
    /// `None` for an address.
    name: Option<Name>,
    lookup: Option<Lookup>,
    /// When the last lookup began.
    asked: Instant,
    /// The last lookup failed.
    failed: bool,
}

impl Names {
    /// Creates it for a name that was resolved at `now`.
    pub(super) fn new(name: Option<Name>, now: Instant) -> Self {
        let name = name.filter(|name| !is_address(&name.endpoint));
        Names { name, lookup: None, asked: now, failed: false }
    }

    /// Starts a lookup, unless the last one began within this time.
    pub(super) fn ask(&mut self, fresh: Duration, now: Instant) {
        let Some(Name { endpoint, family }) = &self.name else { return };
        if self.lookup.is_none() && now.saturating_duration_since(self.asked) >= fresh {
            self.lookup = Lookup::start(endpoint, *family);
            self.asked = now;
        }
    }

    /// Returns the result of a lookup: the addresses, or why there are none, unless the one before failed too.
    pub(super) fn answer(&mut self) -> Option<Result<Vec<SocketAddr>, ResolveError>> {
        let answer = self.lookup.as_ref()?.answer()?;
        self.lookup = None;
        let failed = std::mem::replace(&mut self.failed, answer.is_err());
        match answer {
            Err(_) if failed => None,
            answer => Some(answer),
        }
    }

    /// Returns the descriptor that is readable when the lookup has ended.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.lookup.as_ref().map(Lookup::as_fd)
    }

    /// Returns until when a connection waits for the lookup.
    pub(super) fn lookup_deadline(&self) -> Option<Instant> {
        self.lookup.as_ref().and_then(|_| self.asked.checked_add(LOOKUP_WAIT))
    }
}
