//! The state of this host's interfaces and listeners that explains a failed call: whether there is IPv6, whether loopback is
//! up, whether an address's interface exists, whether a socket listens.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use rustix::io::Errno;
use tcpecho_os::{interface, sock_diag::tcp_sockets, tcp_state::TcpState};

/// What is known of this network namespace's interfaces and listeners. `None` for what was not asked or cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stack {
    /// How many IPv6 addresses there are, those that are not ready yet included. Asked where an IPv6 address could not be
    /// reached.
    pub v6_addresses: Option<usize>,
    /// Whether the loopback interface is up. Asked where an address could not be reached.
    pub loopback_up: Option<bool>,
    /// Whether the interface exists that the peer's address names after the `%`.
    pub scope_exists: Option<bool>,
    /// Whether a socket of this host listens on the peer's address and port. Asked where the connection was refused.
    pub listens: Option<bool>,
}

impl Stack {
    /// Asks what may have kept a connection to `peer` from being made, `said` being the failed call's errno.
    #[must_use]
    pub(crate) fn towards(peer: SocketAddr, said: Option<Errno>) -> Self {
        let unreached = matches!(
            said,
            Some(Errno::NETUNREACH | Errno::ADDRNOTAVAIL | Errno::TIMEDOUT | Errno::NODEV)
        );
        let is_v6 = peer.ip().to_canonical().is_ipv6();
        let refused = said == Some(Errno::CONNREFUSED);
        Stack {
            v6_addresses: (unreached && is_v6).then(v6_addresses).flatten(),
            loopback_up: unreached.then(|| interface::is_up("lo").ok()).flatten(),
            scope_exists: scope(peer).and_then(|index| interface::exists(index).ok()),
            listens: refused.then(|| listens(peer)).flatten(),
        }
    }
}

/// Counts them. The file is missing where the kernel has no IPv6, and empty where it is switched off.
fn v6_addresses() -> Option<usize> {
    match fs::read_to_string("/proc/thread-self/net/if_inet6") {
        Ok(text) => Some(text.lines().count()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(0),
        Err(_) => None,
    }
}

fn scope(peer: SocketAddr) -> Option<u32> {
    match peer {
        SocketAddr::V6(peer) if peer.scope_id() != 0 => Some(peer.scope_id()),
        _ => None,
    }
}

/// Whether this host listens there; `None` where a listener of the other family may or may not take it.
fn listens(peer: SocketAddr) -> Option<bool> {
    let ip = peer.ip().to_canonical();
    let of_port = |local: &SocketAddr| local.port() == peer.port();
    let sockets = tcp_sockets(peer.port()).ok()?;
    let listeners = sockets.iter().filter(|socket| socket.state == TcpState::Listen);
    let listeners: Vec<IpAddr> =
        listeners.filter(|one| of_port(&one.local)).map(|one| one.local.ip()).collect();
    let takes = |local: &IpAddr| {
        local.to_canonical() == ip || local.is_unspecified() && local.is_ipv4() == ip.is_ipv4()
    };
    if listeners.iter().any(takes) {
        return Some(true);
    }
    // A listener on [::] takes IPv4 as well, unless it was told not to (IPV6_V6ONLY).
    let may_take = listeners.iter().any(IpAddr::is_unspecified);
    (!may_take).then_some(false)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_seen_where_it_takes_connections_and_nowhere_else() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        assert_eq!(listens(addr), Some(true));
        let mapped = format!("[::ffff:127.0.0.1]:{}", addr.port()).parse().unwrap();
        assert_eq!(listens(mapped), Some(true));
        let elsewhere = SocketAddr::new("127.0.0.2".parse().unwrap(), addr.port());
        assert_eq!(listens(elsewhere), Some(false));
        drop(listener);
        assert_eq!(listens(addr), Some(false));
        let any = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = any.local_addr().unwrap().port();
        assert_eq!(listens(SocketAddr::new(addr.ip(), port)), Some(true));
        assert_eq!(listens(SocketAddr::new("::1".parse().unwrap(), port)), None);
    }

    #[test]
    fn a_missing_interface_is_reported() {
        let peer = "[fe80::1%1]:7".parse().unwrap();
        assert_eq!(Stack::towards(peer, None).scope_exists, Some(true), "lo has number 1");
        let peer = "[fe80::1%999999]:7".parse().unwrap();
        assert_eq!(Stack::towards(peer, None).scope_exists, Some(false));
        assert_eq!(Stack::towards("127.0.0.1:7".parse().unwrap(), None), Stack::default());
    }
}
