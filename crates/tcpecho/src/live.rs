//! The connections of a server that can be listed, and reset by number, if that was asked for.
//!
//! A connection has a second descriptor here (dup(2)): the engine may close its own at any time, and the number could be
//! that of another connection a moment later. The engine takes the connection out before it closes its descriptor, because
//! the kernel sends FIN only when the last one is closed. A connection of the fork engine is reached through its child.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::{io::fcntl_dupfd_cloexec, net::getsockname};
use tcpecho_os::process::Child;

use crate::{
    Ending,
    fault::script::Script,
    session::{Outcome, Tracked},
    table::cut_off,
};

/// A connection that is being served; [`Server::live`](crate::Server::live) returns them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LiveSession {
    /// Its number: connections are numbered from 1 on in the order of accept. Those beyond the limit have none.
    pub id: u64,
    /// The peer's address; an IPv4 peer of a dual-stack listener is shown as IPv4.
    pub peer: SocketAddr,
    /// The address that the peer connected to, likewise.
    pub local: SocketAddr,
    /// Time since accept.
    pub age: Duration,
    /// The script that is played on it, if it has a fault.
    pub fault: Option<Script>,
}

/// How a connection is reached.
enum Handle {
    Socket(OwnedFd),
    /// The fork engine is about to start its child.
    Parent,
    Child(Arc<Child>),
}

struct Entry {
    peer: SocketAddr,
    local: SocketAddr,
    since: Instant,
    fault: Option<Arc<Script>>,
    handle: Handle,
    /// A reset was asked for.
    reset: bool,
}

#[derive(Default)]
struct Inner {
    sessions: BTreeMap<u64, Entry>,
    /// By the engine's own descriptor, which is open for as long as it is here.
    numbers: HashMap<RawFd, u64>,
}

impl Inner {
    fn take(&mut self, id: u64) -> Tracked {
        let reset = self.sessions.remove(&id).is_some_and(|entry| entry.reset);
        Tracked { id: Some(id), reset }
    }
}

/// The connections by their numbers.
#[derive(Default)]
pub(crate) struct Live(Mutex<Inner>);

impl Live {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection. If dup(2) fails, it is not tracked.
    pub(crate) fn add(&self, id: u64, fd: impl AsFd, peer: SocketAddr) {
        let Ok(socket) = fcntl_dupfd_cloexec(&fd, 0) else { return };
        let local = local(&socket).unwrap_or(peer);
        let (since, handle) = (Instant::now(), Handle::Socket(socket));
        let mut inner = self.lock();
        inner.numbers.insert(fd.as_fd().as_raw_fd(), id);
        inner.sessions.insert(id, Entry { peer, local, since, fault: None, handle, reset: false });
    }

    /// The connection has this fault.
    pub(crate) fn set_fault(&self, fd: impl AsFd, script: &Arc<Script>) {
        let mut inner = self.lock();
        let id = inner.numbers.get(&fd.as_fd().as_raw_fd()).copied();
        if let Some(entry) = id.and_then(|id| inner.sessions.get_mut(&id)) {
            entry.fault = Some(Arc::clone(script));
        }
    }

    /// Takes a connection out; the engine closes `fd` next.
    pub(crate) fn remove(&self, fd: impl AsFd) -> Tracked {
        let mut inner = self.lock();
        match inner.numbers.remove(&fd.as_fd().as_raw_fd()) {
            Some(id) => inner.take(id),
            None => Tracked::default(),
        }
    }

    /// A child is to have the only descriptor of the connection. Returns the number.
    pub(crate) fn hand_over(&self, fd: impl AsFd) -> Option<u64> {
        let mut inner = self.lock();
        let id = inner.numbers.remove(&fd.as_fd().as_raw_fd())?;
        inner.sessions.get_mut(&id)?.handle = Handle::Parent;
        Some(id)
    }

    pub(crate) fn set_child(&self, id: u64, child: &Arc<Child>) {
        let mut inner = self.lock();
        let Some(entry) = inner.sessions.get_mut(&id) else { return };
        entry.handle = Handle::Child(Arc::clone(child));
        if entry.reset {
            child.reset();
        }
    }

    /// Takes out a connection that was handed over.
    pub(crate) fn remove_number(&self, id: u64) -> Tracked {
        self.lock().take(id)
    }

    /// Whether a reset of this connection was asked for.
    pub(crate) fn was_reset(&self, fd: impl AsFd) -> bool {
        let inner = self.lock();
        let id = inner.numbers.get(&fd.as_fd().as_raw_fd());
        id.and_then(|id| inner.sessions.get(id)).is_some_and(|entry| entry.reset)
    }

    /// Those on which a reset was not asked for.
    pub(crate) fn list(&self) -> Vec<LiveSession> {
        let inner = self.lock();
        let live = |(id, entry): (&u64, &Entry)| LiveSession {
            id: *id,
            peer: entry.peer,
            local: entry.local,
            age: entry.since.elapsed(),
            fault: entry.fault.as_deref().cloned(),
        };
        inner.sessions.iter().filter(|(_, entry)| !entry.reset).map(live).collect()
    }

    /// Resets a connection, once. The engine learns it from the socket.
    pub(crate) fn reset(&self, id: u64) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.sessions.get_mut(&id).filter(|entry| !entry.reset) else {
            return false;
        };
        entry.reset = true;
        match &entry.handle {
            Handle::Socket(socket) => cut_off(socket),
            Handle::Child(child) => child.reset(),
            Handle::Parent => {}
        }
        true
    }
}

impl Tracked {
    /// How a session ended that the engine says ended so. What ended by itself before was not reset.
    pub(crate) fn outcome(self, outcome: Outcome) -> Outcome {
        match outcome.ending {
            Ending::Finished | Ending::Idle => outcome,
            _ if self.reset => Outcome::of(Ending::Fault),
            _ => outcome,
        }
    }
}

/// The local address of a socket. That of a dual-stack listener is shown as IPv4 where it is.
fn local(fd: impl AsFd) -> Option<SocketAddr> {
    let addr = SocketAddr::try_from(getsockname(fd).ok()?).ok()?;
    match addr.ip() {
        IpAddr::V6(ip) => {
            Some(ip.to_ipv4_mapped().map_or(addr, |v4| SocketAddr::from((v4, addr.port()))))
        }
        IpAddr::V4(_) => Some(addr),
    }
}
