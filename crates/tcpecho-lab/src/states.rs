//! The states of both hosts' TCP sockets, from the kernel's own table (`inet_diag`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tcpecho_os::failed::Failed;
use tcpecho_os::netns::NetNs;
use tcpecho_os::sock_diag::{SockDiag, TcpSocket};
use tcpecho_os::tcp_state::TcpState;

use crate::side::{Family, Side};
use crate::timeline::{Place, Timeline, What};

/// A look at one host's sockets, from any thread.
#[derive(Debug)]
pub struct States {
    door: Mutex<SockDiag>,
}

impl States {
    pub(crate) fn of(netns: &NetNs) -> Result<Self, Failed> {
        let door = netns.run(SockDiag::open)?.map_err(Failed::at("socket(NETLINK_SOCK_DIAG)"))?;
        Ok(States { door: Mutex::new(door) })
    }

    /// All TCP sockets of one family. A socket that was reset and is still open is in no table:
    /// [`crate::Program::tcp_info`] sees it.
    ///
    /// # Errors
    /// Those of netlink; in practice none.
    pub fn sockets(&self, family: Family) -> Result<Vec<TcpSocket>, Errno> {
        self.door().tcp_sockets(family == Family::V6)
    }

    /// Ends all sockets from outside, `TIME_WAIT` included; tells how many.
    pub fn destroy_all(&self) -> usize {
        let mut door = self.door();
        let both = [false, true].map(|ipv6| door.tcp_sockets(ipv6).unwrap_or_default());
        both.iter().flatten().filter(|socket| door.destroy(socket).is_ok()).count()
    }

    /// Ends one socket from outside.
    ///
    /// # Errors
    /// `ENOENT` if it has gone, `EOPNOTSUPP` if this kernel cannot (`CONFIG_INET_DIAG_DESTROY`).
    pub fn destroy(&self, socket: &TcpSocket) -> Result<(), Errno> {
        self.door().destroy(socket)
    }

    fn door(&self) -> MutexGuard<'_, SockDiag> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes every change of a state to the timeline, whenever it is told to look.
pub(crate) struct Watch {
    timeline: Timeline,
    families: Vec<Family>,
    hosts: Mutex<[Seen; 2]>,
}

#[derive(Default)]
struct Seen {
    states: Option<States>,
    last: BTreeMap<(SocketAddr, SocketAddr), TcpState>,
}

impl Watch {
    pub(crate) fn new(timeline: &Timeline, families: &[Family]) -> Self {
        Watch { timeline: timeline.clone(), families: families.into(), hosts: Mutex::default() }
    }

    /// Looks at this host from now on, or no more.
    pub(crate) fn set(&self, side: Side, states: Option<States>) {
        let seen = Seen { states, last: BTreeMap::new() };
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)[side.index()] = seen;
    }

    pub(crate) fn look(&self) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        for side in Side::BOTH {
            hosts[side.index()].look(side, &self.families, &self.timeline);
        }
    }
}

impl Seen {
    fn look(&mut self, side: Side, families: &[Family], timeline: &Timeline) {
        let Some(states) = &self.states else { return };
        let tables: Result<Vec<_>, _> =
            families.iter().map(|family| states.sockets(*family)).collect();
        let Ok(tables) = tables else { return };
        let sockets = tables.concat();
        let now: BTreeMap<_, _> =
            sockets.iter().map(|socket| ((socket.local, socket.remote), socket.state)).collect();
        let ends: std::collections::BTreeSet<_> = self.last.keys().chain(now.keys()).collect();
        for (local, remote) in ends {
            let of = |table: &BTreeMap<_, _>| table.get(&(*local, *remote)).copied();
            let (before, now) = (of(&self.last), of(&now));
            if before != now {
                let what = What::State { local: *local, remote: *remote, before, now };
                timeline.record(Place::Host(side), what);
            }
        }
        self.last = now;
    }
}
