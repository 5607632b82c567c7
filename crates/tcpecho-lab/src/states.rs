//! The states of both hosts' TCP sockets, from the kernel's own table (`inet_diag`).

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tcpecho_lab_os::netns::NetNs;
use tcpecho_os::failed::Failed;
use tcpecho_os::sock_diag::{SockDiag, TcpSocket};
use tcpecho_os::tcp_state::TcpState;

use crate::side::{Family, Side};
use crate::timeline::{PacketMoment, Place, Timeline, Verdict, What};

mod path;
mod proof;

use proof::Proof;

/// The socket table of one host, readable from any thread.
#[derive(Debug)]
pub struct States {
    door: Mutex<SockDiag>,
}

impl States {
    pub(crate) fn of(netns: &NetNs) -> Result<Self, Failed> {
        let door = netns.run(SockDiag::open)?.map_err(Failed::at("socket(NETLINK_SOCK_DIAG)"))?;
        Ok(States { door: Mutex::new(door) })
    }

    /// All TCP sockets with which a program uses this family. An IPv6 socket that carries IPv4 has
    /// IPv4 addresses here; one that is bound to `[::]` belongs to both families, unless it is IPv6
    /// only. A socket that was reset and is still open is in no table: [`crate::Program::tcp_info`]
    /// reads it.
    ///
    /// # Errors
    /// Those of netlink; in practice none.
    pub fn sockets(&self, family: Family) -> Result<Vec<TcpSocket>, Errno> {
        let mut door = self.door();
        if family == Family::V6 {
            let mut sockets = door.tcp_sockets(true)?;
            sockets.retain(|socket| canonical(socket.local).is_ipv6());
            return Ok(sockets);
        }
        let mut sockets = door.tcp_sockets(false)?;
        // A kernel without IPv6 has none.
        for socket in door.tcp_sockets(true).unwrap_or_default() {
            let (local, remote) = (canonical(socket.local), canonical(socket.remote));
            let takes_both = socket.local.ip().is_unspecified() && !socket.v6only;
            if local.is_ipv4() || takes_both {
                sockets.push(TcpSocket { local, remote, ..socket });
            }
        }
        Ok(sockets)
    }

    /// Destroys all sockets, `TIME_WAIT` included; returns their number.
    pub fn destroy_all(&self) -> usize {
        let mut door = self.door();
        let both = [false, true].map(|ipv6| door.tcp_sockets(ipv6).unwrap_or_default());
        both.iter().flatten().filter(|socket| door.destroy(socket).is_ok()).count()
    }

    fn door(&self) -> MutexGuard<'_, SockDiag> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records every change of a state on the timeline, each time the table is sampled.
///
/// Programs and packets may have brought a socket through several states since the last sample.
/// What TCP's state machine and the packets prove is filled in; what they leave open is marked.
pub(crate) struct Watch {
    timeline: Timeline,
    families: Vec<Family>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    hosts: [Sockets; 2],
    /// What the packets prove, up to this mark of the timeline.
    proofs: HashMap<Ends, Proof>,
    mark: usize,
}

#[derive(Default)]
struct Sockets {
    states: Option<States>,
    last: BTreeMap<(SocketAddr, SocketAddr), TcpState>,
}

/// An end of a connection: the host, its own address and the peer's.
type Ends = (usize, SocketAddr, SocketAddr);

/// The number of connections for which proofs are kept; a program can make any number.
const MOST_PROOFS: usize = 8192;

impl Watch {
    pub(crate) fn new(timeline: &Timeline, families: &[Family]) -> Self {
        Watch { timeline: timeline.clone(), families: families.into(), seen: Mutex::default() }
    }

    /// Watches this host from now on, or no longer.
    pub(crate) fn set(&self, side: Side, states: Option<States>) {
        let mut seen = self.seen();
        seen.hosts[side.index()] = Sockets { states, last: BTreeMap::new() };
        seen.proofs.retain(|(host, ..), _| *host != side.index());
        seen.mark = self.timeline.mark();
    }

    pub(crate) fn look(&self) {
        self.seen().look(&self.families, &self.timeline);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// The tables come first: then no change is seen before the packet that caused it.
    fn look(&mut self, families: &[Family], timeline: &Timeline) {
        let now = Side::BOTH.map(|side| self.hosts[side.index()].table(families));
        let proofs = &mut self.proofs;
        self.mark = timeline.each_since(self.mark, |moment| {
            if let What::Packet(packet) = &moment.what {
                learn(proofs, packet);
            }
        });
        for (side, now) in Side::BOTH.into_iter().zip(now) {
            if let Some(now) = now {
                self.change(side, now, timeline);
            }
        }
    }

    fn change(
        &mut self,
        side: Side,
        mut now: BTreeMap<(SocketAddr, SocketAddr), TcpState>,
        timeline: &Timeline,
    ) {
        let last = &mut self.hosts[side.index()].last;
        // A socket that is only bound has no state yet; Linux lists it since 6.8.
        now.retain(|ends, state| {
            let is_only_bound = *state == TcpState::Close && ends.1.port() == 0;
            !is_only_bound || last.contains_key(ends)
        });
        let both: std::collections::BTreeSet<_> = last.keys().chain(now.keys()).copied().collect();
        for (local, remote) in both {
            let of = |table: &BTreeMap<_, _>| table.get(&(local, remote)).copied();
            let (before, now) = (of(last), of(&now));
            if before == now {
                continue;
            }
            let ends = (side.index(), canonical(local), canonical(remote));
            let proof = self.proofs.get(&ends).copied().unwrap_or_default();
            for path::Hop { before, now, sampled } in path::between(before, now, &proof) {
                let what = What::State { local, remote, before, now, sampled };
                timeline.record(Place::Host(side), what);
            }
            if now.is_none() {
                self.proofs.remove(&ends);
            }
        }
        *last = now;
    }
}

impl Sockets {
    fn table(&self, families: &[Family]) -> Option<BTreeMap<(SocketAddr, SocketAddr), TcpState>> {
        let states = self.states.as_ref()?;
        let tables: Result<Vec<_>, _> =
            families.iter().map(|family| states.sockets(*family)).collect();
        let sockets = tables.ok()?.into_iter().flatten();
        Some(sockets.map(|socket| ((socket.local, socket.remote), socket.state)).collect())
    }
}

/// What this packet proves about the end that sent it and the end that it arrived at.
fn learn(proofs: &mut HashMap<Ends, Proof>, seen: &PacketMoment) {
    let (Some((source, destination)), Some(tcp)) = (seen.packet.ends(), seen.packet.tcp()) else {
        return;
    };
    if proofs.len() > MOST_PROOFS {
        proofs.clear();
    }
    if seen.verdict.is_first_sight() && seen.verdict != Verdict::Injected {
        proofs.entry((seen.from.index(), source, destination)).or_default().sends(tcp);
    }
    // The content of a packet that arrives changed is not known here.
    if seen.verdict.has_arrived()
        && !matches!(seen.verdict, Verdict::Corrupted | Verdict::Rewritten)
    {
        let to = seen.from.other();
        proofs.entry((to.index(), destination, source)).or_default().gets(tcp);
    }
}

/// An IPv6 socket with a connection over IPv4 has mapped addresses.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
