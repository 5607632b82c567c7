//! Looks up the route to an address, without a packet: connect(2) of a UDP socket looks the route up and sends
//! nothing (UNP 8.14, udp(7)).

use std::net::{IpAddr, SocketAddr};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

/// The route to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// There is a route; packets on it carry this source address.
    Source(IpAddr),
    /// There is none, or one that forbids: `ENETUNREACH` (none), `EHOSTUNREACH` (unreachable), `EACCES` (prohibit),
    /// `EINVAL` (blackhole).
    None(crate::Errno),
}

/// Looks up the route; `None` if that is not possible.
#[must_use]
pub(super) fn route_to(addr: SocketAddr) -> Option<Route> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = net::socket_with(family, SocketType::DGRAM, flags, None).ok()?;
    if let Err(errno) = net::connect(&fd, &addr) {
        return Some(Route::None(errno.into()));
    }
    let name = net::getsockname(&fd).ok().and_then(|name| SocketAddr::try_from(name).ok())?;
    Some(Route::Source(name.ip()))
}
