//! `EADDRINUSE`: which process holds the port, or which connections remain on it.

use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use tcpecho_os::holders::{Holder, holders};
use tcpecho_os::sock_diag::{TcpSocket, tcp_sockets};
use tcpecho_os::tcp_state::TcpState;

use tcpecho_os::errno::words;

use super::Reasons;

/// How many sockets, and how many processes of each, are named.
const NAMED: usize = 3;

/// The sockets that prevent a bind to an address.
pub(super) struct Seen {
    culprits: Result<Vec<Culprit>, Errno>,
    our_pid: u32,
}

/// A socket that prevents the bind.
struct Culprit {
    socket: TcpSocket,
    overlap: Overlap,
    holders: Vec<Holder>,
}

/// How two local addresses with the same port exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Overlap {
    SameFamily,
    /// They listen dual-stack on `[::]`, we want an IPv4 address.
    TheyTakeIpv4,
    /// We want the dual-stack `[::]`, they have an IPv4 address.
    WeTakeIpv4,
}

/// Reads which sockets prevent a bind to `addr`.
pub(super) fn look(addr: SocketAddr) -> Seen {
    let culprits = tcp_sockets(addr.port()).map(|sockets| {
        let mut culprits = in_the_way(addr.ip(), &sockets);
        for culprit in culprits.iter_mut().filter(|culprit| culprit.socket.inode != 0).take(NAMED) {
            culprit.holders = holders(culprit.socket.inode);
        }
        culprits
    });
    Seen { culprits, our_pid: std::process::id() }
}

/// The sockets that exclude `ip`, none of a weaker kind than the strongest: listeners, else bound
/// ones, else connections. A socket of the other family is blamed only if none of ours can be.
fn in_the_way(ip: IpAddr, sockets: &[TcpSocket]) -> Vec<Culprit> {
    let culprits = sockets.iter().filter_map(|&socket| {
        let overlap = overlap(ip, &socket)?;
        Some(Culprit { socket, overlap, holders: Vec::new() })
    });
    let rank = |culprit: &Culprit| (culprit.overlap, strength(culprit.socket.state));
    let mut culprits: Vec<Culprit> = culprits.collect();
    culprits.sort_by_key(rank);
    if let Some(first) = culprits.first().map(rank) {
        culprits.retain(|culprit| rank(culprit) == first);
    }
    culprits
}

fn strength(state: TcpState) -> u8 {
    match state {
        TcpState::Listen => 0,
        TcpState::Close => 1,
        _ => 2,
    }
}

/// ip(7) and ipv6(7): a wildcard excludes every address of its family, and `[::]` those of IPv4 too
/// unless `IPV6_V6ONLY` is on.
fn overlap(ours: IpAddr, theirs: &TcpSocket) -> Option<Overlap> {
    let (ours, ip) = (ours.to_canonical(), theirs.local.ip().to_canonical());
    match (ours, ip) {
        (IpAddr::V4(_), IpAddr::V6(ip)) => {
            (ip.is_unspecified() && !theirs.v6only).then_some(Overlap::TheyTakeIpv4)
        }
        (IpAddr::V6(ours), IpAddr::V4(_)) => ours.is_unspecified().then_some(Overlap::WeTakeIpv4),
        _ => (ours == ip || ours.is_unspecified() || ip.is_unspecified())
            .then_some(Overlap::SameFamily),
    }
}

/// What to say of it. `reuse_address` tells whether our socket had `SO_REUSEADDR`.
pub(super) fn reasons(seen: &Seen, reuse_address: bool) -> Reasons {
    let culprits = match &seen.culprits {
        Ok(culprits) => culprits,
        Err(errno) => {
            let what = "the process that holds the port is not known: sock_diag";
            return Reasons::cause(format!("{what}: {}", words(*errno)))
                .advise("`ss -ltnp` as root lists listeners with their processes");
        }
    };
    let Some(first) = culprits.first() else {
        let cause = "no socket on that port exists any more: it was probably being closed";
        return Reasons::cause(cause).advise("try again");
    };
    if strength(first.socket.state) == 2 {
        return Reasons::cause(remains(culprits, seen.our_pid)).advise(rule(reuse_address));
    }
    let mut causes: Vec<String> =
        culprits.iter().take(NAMED).map(|culprit| held(culprit, seen.our_pid)).collect();
    causes.dedup();
    if culprits.len() > NAMED {
        causes.push(format!("and {} more sockets", culprits.len() - NAMED));
    }
    let is_ours = first.holders.iter().any(|holder| holder.pid == seen.our_pid);
    let first_step = if is_ours { "close that socket" } else { "end that process" };
    let mut advice = vec![format!("{first_step}, or take another port; port 0 is a free one")];
    if let Some((cause, cure)) = dual_stack(first.overlap) {
        causes.push(cause.into());
        advice.push(cure.into());
    }
    Reasons { causes, advice }
}

fn held(culprit: &Culprit, our_pid: u32) -> String {
    let how = match culprit.socket.state {
        TcpState::Listen => "listening on",
        _ => "which does not listen yet, bound to",
    };
    format!("held by {}, {how} {}", who(culprit, our_pid), culprit.socket.local)
}

fn who(culprit: &Culprit, our_pid: u32) -> String {
    if culprit.holders.is_empty() {
        let uid = culprit.socket.uid;
        return format!("a process of uid {uid} whose descriptors cannot be read from here");
    }
    let named = culprit.holders.iter().take(NAMED).map(|holder| {
        let us = if holder.pid == our_pid { ", this process" } else { "" };
        format!("PID {} ({}{us})", holder.pid, holder.comm)
    });
    let named = named.collect::<Vec<_>>().join(", ");
    match culprit.holders.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What is the matter with two sockets of different families, and what to do.
fn dual_stack(overlap: Overlap) -> Option<(&'static str, &'static str)> {
    match overlap {
        Overlap::SameFamily => None,
        Overlap::TheyTakeIpv4 => Some((
            "its [::] is dual-stack and includes IPv4",
            "IPV6_V6ONLY on that socket would free the IPv4 port",
        )),
        Overlap::WeTakeIpv4 => Some((
            "[::] is dual-stack here and includes IPv4",
            "with IPV6_V6ONLY both sockets could be bound",
        )),
    }
}

fn remains(culprits: &[Culprit], our_pid: u32) -> String {
    let mut states: Vec<TcpState> = Vec::new();
    for Culprit { socket, .. } in culprits {
        if !states.contains(&socket.state) {
            states.push(socket.state);
        }
    }
    let counts = states.iter().map(|&state| {
        let count = culprits.iter().filter(|culprit| culprit.socket.state == state).count();
        format!("{count} {state}")
    });
    let mut said: Vec<String> = counts.collect();
    if let Some(culprit) = culprits.iter().find(|culprit| !culprit.holders.is_empty()) {
        said.push(format!("held by {}", who(culprit, our_pid)));
    }
    if let Some(last) = culprits.iter().filter_map(|culprit| culprit.socket.time_wait_ms).max() {
        said.push(format!("the last TIME_WAIT ends in {} s", last.div_ceil(1000)));
    }
    format!("connections remain on that port: {}", said.join(", "))
}

/// The rule of Linux, measured: both listeners must have had the option, the old one too.
fn rule(reuse_address: bool) -> &'static str {
    if reuse_address {
        "SO_REUSEADDR is set here, but it has an effect only if the old listener had it too"
    } else {
        "with SO_REUSEADDR here and on the old listener, bind would succeed"
    }
}

#[cfg(test)]
mod tests;
