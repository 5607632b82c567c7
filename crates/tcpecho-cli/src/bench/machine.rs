//! This machine: processors for generator and servers, limits, and listeners.

use std::net::SocketAddr;

use tcpecho_os::{holders::holders, limits, sock_diag::tcp_sockets, tcp_state::TcpState};

pub(super) use crate::machine::{Fact, facts, line, processors};

/// Says why a list of processors cannot be used: the kernel would say EINVAL only.
pub(super) fn refused(option: &str, cpus: Option<&[usize]>) -> Option<String> {
    let here = processors();
    let missing = cpus?.iter().find(|cpu| !here.contains(cpu))?;
    Some(format!(
        "{option}: this process cannot use processor {missing}; it can use {} (taskset -cp $$ shows them)",
        ranges(&here)
    ))
}

/// A sorted list of processors as `--cpu` takes it: `0-3,6`.
fn ranges(cpus: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let shown = |(first, last): (usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.into_iter().map(shown).collect::<Vec<_>>().join(",")
}

/// Processors for the servers that are started here, and for the generator: half for each, unless
/// there is only one.
pub(super) fn split() -> (Vec<usize>, Vec<usize>) {
    let all = processors();
    if all.len() < 2 {
        return (Vec::new(), Vec::new());
    }
    let (servers, generator) = all.split_at(all.len() / 2);
    (servers.to_vec(), generator.to_vec())
}

/// As many descriptors as are allowed without asking, and where that is less than `wanted` and we are
/// privileged, so many. Servers that are started later inherit the limit.
pub(super) fn raise_descriptors(wanted: u64) {
    // A sandbox may not tell it; then it is not raised either.
    let Ok((_, maximum)) = limits::descriptors() else { return };
    if maximum < wanted && limits::set_descriptors(wanted, wanted).is_ok() {
        return;
    }
    // What is refused here stays as it was, and the look before the run names the limit in force.
    let _ = limits::raise_descriptors();
}

/// Descriptors that are open now; a few where /proc does not tell.
pub(super) fn open_descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(16, |all| all.count() as u64)
}

/// How many descriptors this process may have.
pub(super) fn descriptors() -> u64 {
    limits::descriptors().map_or(u64::MAX, |(current, _)| current)
}

/// The process that listens there, if it is of this host and may be looked at.
pub(super) fn listener(addr: SocketAddr) -> Option<u32> {
    let ours = addr.ip().is_loopback() || std::net::UdpSocket::bind((addr.ip(), 0)).is_ok();
    if !ours {
        return None;
    }
    let sockets = tcp_sockets(addr.port()).ok()?;
    let serves = |at: SocketAddr| {
        at.port() == addr.port() && (at.ip() == addr.ip() || at.ip().is_unspecified())
    };
    let listens = sockets.iter().find(|s| s.state == TcpState::Listen && serves(s.local))?;
    // Of those that share a listener, the oldest: the parent.
    holders(listens.inode).first().map(|holder| holder.pid)
}
