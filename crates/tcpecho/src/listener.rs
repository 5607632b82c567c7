//! Bound, listening sockets (UNP 4.4 and 4.5), and the options that the sockets accepted from them inherit.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt},
};
use tcpecho_os::tcp_info::listen_queue;

use crate::{
    Error,
    bind::{Reasons, explain_bind},
};

/// Keepalive: idle time, probe interval, and probes before giving up (tcp(7): `TCP_KEEPIDLE`, `TCP_KEEPINTVL`,
/// `TCP_KEEPCNT`).
///
/// ```
/// use std::time::Duration;
/// use tcpecho::{Keepalive, Server};
///
/// let keepalive = Keepalive { idle: Duration::from_secs(10), ..Keepalive::default() };
/// let server = Server::builder().keepalive(Some(keepalive)).start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Keepalive {
    /// Idle time before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes after which the kernel ends the connection.
    pub count: u32,
}

impl Keepalive {
    /// The longest `idle` and `interval` that the kernel accepts (TCP_KEEPIDLE and TCP_KEEPINTVL; it counts in whole seconds).
    pub const LONGEST: Duration = Duration::from_secs(32767);
    /// The largest `count` that the kernel accepts (TCP_KEEPCNT).
    pub const MOST_PROBES: u32 = 127;
}

/// The longest user timeout that the kernel accepts (TCP_USER_TIMEOUT; it counts in milliseconds).
pub const LONGEST_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

impl Default for Keepalive {
    /// Four probes, 30 seconds apart, after two idle minutes. The connection to a dead peer ends after four minutes; with the
    /// kernel's defaults it would take two hours and eleven minutes.
    fn default() -> Self {
        Keepalive { idle: Duration::from_secs(120), interval: Duration::from_secs(30), count: 4 }
    }
}

/// What a listener is made with. Accepted sockets inherit all of it on Linux, so no connection costs a setsockopt(2).
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) backlog: i32,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) user_timeout: Option<Duration>,
    /// SO_RCVTIMEO and SO_SNDTIMEO, for engines that block in recv and send.
    pub(crate) blocking_timeout: Option<Duration>,
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    addr: SocketAddr,
    backlog: u32,
}

impl Listener {
    /// The address with the real port.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The backlog in force: what was asked for, clamped by net.core.somaxconn (listen(2)).
    pub(crate) fn backlog(&self) -> u32 {
        self.backlog
    }

    /// `loops` listeners for each address, grouped by loop, all of one address on one port.
    ///
    /// The first socket of an address is bound without SO_REUSEPORT, so a port that anybody else uses is an error, even if
    /// that program would share it; only then are the other sockets added.
    pub(crate) fn bind_all(
        addrs: &[SocketAddr],
        loops: usize,
        options: &Options,
    ) -> Result<Vec<Vec<Self>>, Error> {
        let mut groups: Vec<Vec<Self>> = (0..loops).map(|_| Vec::new()).collect();
        for addr in addrs {
            let v6_only = is_v6_beside_v4(*addr, addrs);
            let first = bound(*addr, v6_only, Share::Restart, options)?;
            let shared = loops > 1;
            if shared {
                let set = sockopt::set_socket_reuseport(&first, true);
                set.map_err(|errno| Error::at("setsockopt SO_REUSEPORT", *addr, errno))?;
            }
            let real =
                local_addr(&first).map_err(|errno| Error::at("getsockname", *addr, errno))?;
            let mut sockets = vec![first];
            for _ in 1..loops {
                let share = if shared { Share::Loops } else { Share::Restart };
                sockets.push(bound(real, v6_only, share, options)?);
            }
            for (group, fd) in groups.iter_mut().zip(sockets) {
                group.push(listening(fd, real, options)?);
            }
        }
        Ok(groups)
    }

    /// A socket for each address that is bound and does not listen.
    pub(crate) fn reserve_all(addrs: &[SocketAddr], options: &Options) -> Result<Vec<Self>, Error> {
        let reserve = |addr: &SocketAddr| {
            let fd = bound(*addr, is_v6_beside_v4(*addr, addrs), Share::Nobody, options)?;
            let addr = local_addr(&fd).map_err(|errno| Error::at("getsockname", *addr, errno))?;
            Ok(Listener { fd, addr, backlog: 0 })
        };
        addrs.iter().map(reserve).collect()
    }
}

/// Who else may bind the port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    /// Nobody: with SO_REUSEADDR, another program could bind a port on which nobody listens.
    Nobody,
    /// Nobody, but old connections in TIME_WAIT do not matter (UNP 7.5).
    Restart,
    /// The other loops of this server.
    Loops,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An IPv6 wildcard takes IPv4 too, unless the same list asks for the IPv4 wildcard at that port.
fn is_v6_beside_v4(addr: SocketAddr, all: &[SocketAddr]) -> bool {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, addr.port()));
    matches!(addr.ip(), IpAddr::V6(ip) if !ip.is_unspecified() || all.contains(&v4))
}

fn bound(
    addr: SocketAddr,
    v6_only: bool,
    share: Share,
    options: &Options,
) -> Result<OwnedFd, Error> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
        .map_err(|errno| explained("socket", addr, errno))?;
    set_options(&fd, addr, v6_only, share, options).map_err(|(op, errno)| {
        let error = Error::at(op, addr, errno);
        match limits(op).filter(|_| errno == Errno::INVAL) {
            Some(limits) => error.note(limits),
            None => error,
        }
    })?;
    rustix::net::bind(&fd, &addr).map_err(|errno| explained("bind", addr, errno))?;
    Ok(fd)
}

fn listening(fd: OwnedFd, addr: SocketAddr, options: &Options) -> Result<Listener, Error> {
    rustix::net::listen(&fd, options.backlog).map_err(|errno| explained("listen", addr, errno))?;
    let queue = listen_queue(&fd).map_err(|errno| Error::at("getsockopt TCP_INFO", addr, errno))?;
    Ok(Listener { fd, addr, backlog: queue.backlog })
}

fn set_options(
    fd: &OwnedFd,
    addr: SocketAddr,
    v6_only: bool,
    share: Share,
    options: &Options,
) -> Result<(), (&'static str, Errno)> {
    let named = |op: &'static str| move |errno: Errno| (op, errno);
    let restarts = share != Share::Nobody;
    sockopt::set_socket_reuseaddr(fd, restarts).map_err(named("setsockopt SO_REUSEADDR"))?;
    if addr.is_ipv6() {
        sockopt::set_ipv6_v6only(fd, v6_only).map_err(named("setsockopt IPV6_V6ONLY"))?;
    }
    if share == Share::Loops {
        sockopt::set_socket_reuseport(fd, true).map_err(named("setsockopt SO_REUSEPORT"))?;
    }
    // An echo answers at once: Nagle's algorithm against a delayed ACK costs 40 ms (UNP 7.9).
    sockopt::set_tcp_nodelay(fd, true).map_err(named("setsockopt TCP_NODELAY"))?;
    // Urgent data is echoed in its place like any other byte (RFC 6093 section 6).
    sockopt::set_socket_oobinline(fd, true).map_err(named("setsockopt SO_OOBINLINE"))?;
    if let Some(keepalive) = options.keepalive {
        sockopt::set_socket_keepalive(fd, true).map_err(named("setsockopt SO_KEEPALIVE"))?;
        sockopt::set_tcp_keepidle(fd, keepalive.idle).map_err(named("setsockopt TCP_KEEPIDLE"))?;
        sockopt::set_tcp_keepintvl(fd, keepalive.interval)
            .map_err(named("setsockopt TCP_KEEPINTVL"))?;
        sockopt::set_tcp_keepcnt(fd, keepalive.count).map_err(named("setsockopt TCP_KEEPCNT"))?;
    }
    if let Some(timeout) = options.user_timeout {
        // Less than a millisecond is not 0, which is the kernel's default.
        let ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1);
        sockopt::set_tcp_user_timeout(fd, ms).map_err(named("setsockopt TCP_USER_TIMEOUT"))?;
    }
    if options.blocking_timeout.is_some() {
        for (id, op) in [
            (sockopt::Timeout::Recv, "setsockopt SO_RCVTIMEO"),
            (sockopt::Timeout::Send, "setsockopt SO_SNDTIMEO"),
        ] {
            sockopt::set_socket_timeout(fd, id, options.blocking_timeout).map_err(named(op))?;
        }
    }
    Ok(())
}

/// The values that an option takes (tcp(7)).
fn limits(op: &str) -> Option<String> {
    let (longest, most) = (Keepalive::LONGEST.as_secs(), Keepalive::MOST_PROBES);
    match op {
        "setsockopt TCP_KEEPIDLE" => {
            Some(format!("the idle time of keepalive is 1 to {longest} seconds"))
        }
        "setsockopt TCP_KEEPINTVL" => {
            Some(format!("the interval of keepalive is 1 to {longest} seconds"))
        }
        "setsockopt TCP_KEEPCNT" => Some(format!("keepalive sends 1 to {most} probes")),
        "setsockopt TCP_USER_TIMEOUT" => {
            let longest = LONGEST_USER_TIMEOUT.as_millis();
            Some(format!("a user timeout is {longest} milliseconds at most"))
        }
        _ => None,
    }
}

/// The error of a call that takes an address, with what can be found out about the cause.
fn explained(op: &'static str, addr: SocketAddr, errno: Errno) -> Error {
    let Reasons { causes, advice } = explain_bind(addr, errno, true);
    let error = causes.into_iter().fold(Error::at(op, addr, errno), Error::note);
    advice.into_iter().fold(error, Error::advise)
}

fn local_addr(fd: &OwnedFd) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(rustix::net::getsockname(fd)?)
}
