//! How many sockets of this host already go to an address: what uses up the local ports (connect(2), ip(7)).

use std::net::SocketAddr;

use tcpecho_os::{
    sock_diag::{MOST, tcp_sockets},
    tcp_state::TcpState,
};

/// This host's sockets towards one address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Towards {
    /// All of them, `TIME_WAIT` included.
    pub sockets: usize,
    /// Those in `TIME_WAIT`.
    pub time_wait: usize,
    /// The table was longer than what was read of it: there may be more.
    pub or_more: bool,
}

/// Counts them.
#[must_use]
pub fn sockets_towards(addr: SocketAddr) -> Option<Towards> {
    let all = tcp_sockets(0).ok()?;
    let of_family = all.iter().filter(|socket| socket.local.is_ipv4() == addr.is_ipv4()).count();
    let there = || all.iter().filter(|socket| socket.remote == addr);
    Some(Towards {
        sockets: there().count(),
        time_wait: there().filter(|socket| socket.state == TcpState::TimeWait).count(),
        or_more: of_family >= MOST,
    })
}
