//! The name of a target, looked up again while it is probed: a service that has moved is found where it is now.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use tcpecho::{
    ResolveError,
    lookup::{Lookup, is_address},
};

use crate::plan::Name;

/// A connection waits so long for the name, and then is made to an address that is known.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Names {
    /// None for an address, which stays what it is.
    name: Option<Name>,
    lookup: Option<Lookup>,
    /// When it was asked last.
    asked: Instant,
    /// The last answer was none.
    failed: bool,
}

impl Names {
    /// It was looked up at `now`.
    pub(super) fn new(name: Option<Name>, now: Instant) -> Self {
        let name = name.filter(|name| !is_address(&name.endpoint));
        Names { name, lookup: None, asked: now, failed: false }
    }

    /// Asks, unless that was done within this time.
    pub(super) fn ask(&mut self, fresh: Duration, now: Instant) {
        let Some(Name { endpoint, family }) = &self.name else { return };
        if self.lookup.is_none() && now.saturating_duration_since(self.asked) >= fresh {
            self.lookup = Lookup::start(endpoint, *family);
            self.asked = now;
        }
    }

    /// An answer that has come: the addresses, or why there are none, if that is news.
    pub(super) fn answer(&mut self) -> Option<Result<Vec<SocketAddr>, ResolveError>> {
        let answer = self.lookup.as_ref()?.answer()?;
        self.lookup = None;
        let failed = std::mem::replace(&mut self.failed, answer.is_err());
        match answer {
            Err(_) if failed => None,
            answer => Some(answer),
        }
    }

    /// Readable when there is an answer.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.lookup.as_ref().map(Lookup::as_fd)
    }

    /// Until when a connection waits for the answer.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        self.lookup.as_ref().and_then(|_| self.asked.checked_add(PATIENCE))
    }
}
