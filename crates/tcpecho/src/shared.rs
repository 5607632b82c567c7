//! What all loops of a server share: limits, counters, the accept backoff, and the events that stop it.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tcpecho_os::socket::reset;

use crate::{
    Error, Event, Fired, Report,
    accept_backoff::{AcceptBackoff, Advice},
    live::Live,
    session::{Outcome, Session, Tracked},
    sessions::Sessions,
    stats::Stats,
    stop::Stop,
    table::Table,
};

/// Called for each event, on the thread where it happens.
pub(crate) type Observer = dyn Fn(&Event<'_>) + Send + Sync;

/// Descriptors that [`Shared`] opens.
pub(crate) const STOPS: usize = 4;

/// What all loops of a server share.
pub(crate) struct Shared {
    pub(crate) origin: Instant,
    pub(crate) loops: usize,
    pub(crate) max_connections: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) stats: Stats,
    pub(crate) sessions: Sessions,
    /// No more connections: let those that are here finish.
    pub(crate) drain: Stop,
    /// Close all connections at once.
    pub(crate) halt: Stop,
    /// Every loop has returned.
    pub(crate) ended: Stop,
    /// Written to whenever a descriptor was freed while accept was failing.
    pub(crate) freed: Stop,
    failing: AtomicBool,
    /// The sessions of the engines that block in them.
    pub(crate) table: Table,
    /// The sessions of all engines, if they are tracked.
    pub(crate) live: Option<Live>,
    backoff: Mutex<AcceptBackoff>,
    failure: OnceLock<Error>,
    observer: Option<Box<Observer>>,
}

impl Shared {
    pub(crate) fn new(
        loops: usize,
        max_connections: usize,
        idle_timeout: Option<Duration>,
        observer: Option<Box<Observer>>,
        sessions: Sessions,
    ) -> Result<Self, Error> {
        Ok(Shared {
            origin: Instant::now(),
            loops,
            max_connections,
            idle_timeout,
            stats: Stats::new()?,
            sessions,
            drain: Stop::new()?,
            halt: Stop::new()?,
            ended: Stop::new()?,
            freed: Stop::new()?,
            failing: AtomicBool::new(false),
            table: Table::default(),
            live: None,
            backoff: Mutex::default(),
            failure: OnceLock::new(),
            observer,
        })
    }

    /// The server cannot go on. Every session that is left ends with RST, whichever loop it belongs to.
    pub(crate) fn fail(&self, error: &Error) {
        self.failure.get_or_init(|| error.clone());
        self.halt.trigger();
        // Another loop may be blocked in a connection.
        self.table.cut_off();
    }

    /// Returns how the sessions that are left end, once the server cannot go on.
    pub(crate) fn failure(&self) -> Option<Outcome> {
        self.failure.get().map(Outcome::of_loop)
    }

    /// Returns why the server cannot go on.
    pub(crate) fn error(&self) -> Option<&Error> {
        self.failure.get()
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    fn backoff(&self) -> MutexGuard<'_, AcceptBackoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether accept(2) may be called; `Err` says when to ask again.
    pub(crate) fn may_accept(&self) -> Result<(), Instant> {
        if self.failing.load(Relaxed) { self.backoff().may_try(Instant::now()) } else { Ok(()) }
    }

    /// accept(2) worked, or found its queue empty.
    pub(crate) fn accept_worked(&self) {
        if self.failing.load(Relaxed) {
            let told = self.backoff().worked(Instant::now());
            self.failing.store(false, Relaxed);
            if let Some((failures, lasted)) = told {
                self.tell(&Event::AcceptResumed { failures, lasted });
            }
        }
    }

    /// accept(2) failed; what to do about it.
    pub(crate) fn accept_failed(&self, errno: Errno) -> Advice {
        let (advice, say) = {
            let mut backoff = self.backoff();
            let answer = backoff.failed(errno, Instant::now());
            self.failing.store(backoff.in_trouble(), Relaxed);
            answer
        };
        if errno != Errno::INTR {
            self.stats.accept_failures.fetch_add(1, Relaxed);
        }
        // A fatal error ends the server, and `Server::failure` tells of it.
        if say && advice != Advice::Fatal {
            self.tell(&Event::AcceptFailing(errno.into()));
        }
        advice
    }

    /// A descriptor was freed while accept(2) was failing for want of one.
    pub(crate) fn descriptor_freed(&self) {
        self.backoff().freed(Instant::now());
    }

    /// A connection begins, unless there is no room for it; then it is closed, counted and told.
    pub(crate) fn enter(&self, fd: OwnedFd, peer: SocketAddr) -> Option<(OwnedFd, Session)> {
        let number = self.stats.accepted.fetch_add(1, Relaxed) + 1;
        let session = Session::new(peer, self.origin, number);
        let before = self.stats.active.fetch_add(1, Relaxed);
        if before < self.max_connections {
            return Some((fd, session));
        }
        self.close(fd, &session, Outcome::of(crate::Ending::Limit));
        None
    }

    /// A session is over, and `fd` is closed. If a call failed, received bytes may be lost; the
    /// FIN that close(2) would send says that all of them came back, so the peer gets RST.
    pub(crate) fn close(&self, fd: impl AsFd, session: &Session, outcome: Outcome) {
        if outcome.call.is_some() {
            reset(&fd);
        }
        let tracked = self.forget(&fd);
        drop(fd);
        self.leave(session, outcome, tracked);
    }

    /// The same for a connection with a fault.
    pub(crate) fn close_scripted(
        &self,
        fd: impl AsFd,
        session: &Session,
        outcome: Outcome,
        fault: Fired,
    ) {
        if outcome.call.is_some() {
            reset(&fd);
        }
        let tracked = self.forget(&fd);
        drop(fd);
        self.leave_with(session, outcome, Some(fault), tracked);
    }

    /// Takes a session out of those that can be reset. Call it before the descriptor is closed.
    pub(crate) fn forget(&self, fd: impl AsFd) -> Tracked {
        self.live.as_ref().map_or(Tracked::default(), |live| live.remove(fd))
    }

    /// A session is over. Its descriptor has been closed, so an accept that ran out of them may try again.
    pub(crate) fn leave(&self, session: &Session, outcome: Outcome, tracked: Tracked) {
        self.leave_with(session, outcome, None, tracked);
    }

    fn leave_with(
        &self,
        session: &Session,
        outcome: Outcome,
        fault: Option<Fired>,
        mut tracked: Tracked,
    ) {
        let outcome = tracked.outcome(outcome);
        tracked.reset &= outcome.ending == crate::Ending::Fault;
        self.stats.active.fetch_sub(1, Relaxed);
        self.stats.ended(outcome.ending);
        if self.failing.load(Relaxed) {
            self.freed.trigger();
        }
        let report: Report = session.report(outcome, self.origin, fault, tracked);
        self.tell(&Event::Ended(&report));
        self.sessions.ended(report);
    }

    /// The server has ended.
    pub(crate) fn end(&self) {
        self.sessions.close();
        self.ended.trigger();
    }
}
