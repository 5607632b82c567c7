//! Facts about a failure besides its errno, gathered as soon as a call fails. Gathering is cheap and does not fail; a
//! fact that cannot be read is `None`.

mod kernel;
mod route;
mod stack;
mod towards;

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use tcpecho_os::{
    error_queue::{QueuedError, take_errors},
    socket::{unread, unsent},
    tcp_info::{TcpInfo, tcp_info},
};

pub(crate) use self::kernel::failed_retransmissions;
pub use self::{kernel::Kernel, route::Route, stack::Stack, towards::Towards};
use self::{route::route_to, towards::sockets_towards};
use crate::{Ending, Keepalive};

/// What a client was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Phase {
    /// Resolving the name.
    Resolve,
    /// Creating the socket and setting its options.
    Socket,
    /// Binding it to a source address.
    Bind,
    /// The handshake.
    #[default]
    Connect,
    /// Sending on an established connection.
    Send,
    /// Receiving, or waiting for something to receive.
    Receive,
    /// Sending the FIN.
    Shutdown,
}

impl Phase {
    /// Returns the phase of a call, named as in [`Error::op`](crate::Error::op).
    #[must_use]
    pub fn of_call(op: &str) -> Self {
        match op.split(' ').next() {
            Some("getaddrinfo") => Phase::Resolve,
            Some("socket" | "setsockopt") => Phase::Socket,
            Some("bind") => Phase::Bind,
            Some("send" | "write") => Phase::Send,
            Some("recv" | "read") => Phase::Receive,
            Some("shutdown") => Phase::Shutdown,
            _ => Phase::Connect,
        }
    }

    /// Returns its name, such as `connect`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Socket => "socket",
            Phase::Bind => "bind",
            Phase::Connect => "connect",
            Phase::Send => "send",
            Phase::Receive => "receive",
            Phase::Shutdown => "shutdown",
        }
    }

    /// Returns whether the connection was established.
    #[must_use]
    pub fn is_established(self) -> bool {
        matches!(self, Phase::Send | Phase::Receive | Phase::Shutdown)
    }
}

/// A failed attempt to connect to another address of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Tried {
    /// The address.
    pub addr: SocketAddr,
    /// How the attempt ended.
    pub ending: Ending,
    /// How long it took.
    pub elapsed: Duration,
}

/// Facts about a failure. The fields are independent of each other; `None` means that a fact was not read.
///
/// Start with [`Evidence::of_connection`], which also reads what is not public here: TCP_INFO, ICMP errors, the route and
/// the sysctls. Then set the fields that only the program knows.
///
/// ```
/// use tcpecho::{Evidence, Phase};
///
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let peer = listener.local_addr()?;
/// let stream = std::net::TcpStream::connect(peer)?;
/// let mut evidence = Evidence::of_connection(&stream, Phase::Receive, peer);
/// evidence.written = 5;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[allow(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[non_exhaustive]
pub struct Evidence {
    /// What the client was doing.
    pub phase: Phase,
    /// Time since the first call of the attempt, or since the connection was established.
    pub elapsed: Duration,
    /// The caller's time limit, if there was one (not a limit of the kernel).
    pub deadline: Option<Duration>,
    /// The local address, once it has a port.
    pub local: Option<SocketAddr>,
    /// The address of this host that the socket is bound to, with or without a port.
    pub source: Option<IpAddr>,
    /// The peer's address.
    pub peer: Option<SocketAddr>,
    /// TCP_INFO at the time of the failure.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) tcp: Option<TcpInfo>,
    /// Bytes written to the socket.
    pub written: u64,
    /// Bytes that were not written to the socket yet.
    pub unsent: u64,
    /// Bytes of the echo that are correct.
    pub returned: u64,
    /// Bytes read from the socket.
    pub received: u64,
    /// Whether an echo was expected. If not, `returned` has no meaning.
    pub echo: bool,
    /// Whether we have sent our FIN.
    pub fin_sent: bool,
    /// Whether the peer had half-closed before the failure, and we continued to send.
    pub peer_fin: bool,
    /// Whether the bytes that were not echoed are an incomplete line: they contain no newline, and the byte before them
    /// is one.
    pub unfinished_line: bool,
    /// Whether a part of the expected answer came: its first bytes, but not all.
    pub partial_answer: bool,
    /// Bytes written to the socket that the peer's kernel has not acknowledged; our FIN counts as one (`SIOCOUTQ`).
    pub queued: Option<u32>,
    /// Bytes received by the kernel and not read (`SIOCINQ`).
    pub unread: Option<u32>,
    /// The errno of an earlier send.
    pub send_error: Option<crate::Errno>,
    /// The ICMP errors in the socket's error queue, the oldest first.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) routers: Vec<QueuedError>,
    /// The result of a route lookup for the peer's address.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) route: Option<Route>,
    /// This host's own TCP settings.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) kernel: Kernel,
    /// The socket's TCP_USER_TIMEOUT, if it was set.
    pub user_timeout: Option<Duration>,
    /// The socket's keepalive, if it was set.
    pub keepalive: Option<Keepalive>,
    /// Retransmissions that this host's kernel could not send during the handshake, on all connections of the host.
    pub own_drops: Option<u64>,
    /// This host's sockets that are connected to the peer's address, if no port was free.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) towards: Option<Towards>,
    /// The descriptor limit of this process, if it was reached.
    pub descriptor_limit: Option<u64>,
    /// The state of this host's network interfaces, if they may be the cause.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) stack: Stack,
    /// Other addresses of the same name that failed before.
    pub tried: Vec<Tried>,
}

impl Evidence {
    /// Creates evidence with a phase and no other fact.
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        Evidence { phase, ..Evidence::default() }
    }

    /// Returns the bytes of payload that the peer's kernel has acknowledged, without the SYN.
    #[must_use]
    pub fn acknowledged(&self) -> Option<u64> {
        Some(self.tcp?.bytes_acked?.saturating_sub(1).min(self.written))
    }

    /// Returns the bytes of payload that the peer's kernel has not acknowledged: [`queued`](Self::queued) without our FIN.
    #[must_use]
    pub fn unacknowledged(&self) -> Option<u32> {
        Some(self.queued?.saturating_sub(u32::from(self.fin_sent)))
    }

    /// Adds facts from the socket. Empties the socket's error queue.
    pub(crate) fn ask_socket(&mut self, fd: BorrowedFd<'_>) {
        self.tcp = tcp_info(fd).ok();
        self.queued = unsent(fd).ok();
        self.unread = unread(fd).ok();
        self.routers.extend(take_errors(fd).unwrap_or_default());
        let name = rustix::net::getsockname(fd).ok();
        let name: Option<SocketAddr> = name.and_then(|name| name.try_into().ok());
        self.local = name.filter(|local| local.port() != 0).or(self.local);
        let bound = name.map(|name| name.ip()).filter(|ip| !ip.is_unspecified());
        self.source = bound.or(self.source);
    }

    /// Adds facts about this host: sysctls, the route to the peer, and the use of the resource that is exhausted
    /// according to `said`, the errno of the failed call.
    pub(crate) fn ask_host(&mut self, peer: SocketAddr, said: Option<Errno>) {
        self.peer = Some(peer);
        self.kernel = Kernel::read();
        self.route = route_to(peer);
        self.stack = Stack::towards(peer, said);
        match said {
            Some(Errno::ADDRNOTAVAIL) => self.towards = sockets_towards(peer),
            Some(Errno::MFILE) => self.descriptor_limit = getrlimit(Resource::Nofile).current,
            _ => {}
        }
    }

    /// Gathers evidence about an established connection.
    #[must_use]
    pub fn of_connection(fd: impl AsFd, phase: Phase, peer: SocketAddr) -> Self {
        let mut evidence = Evidence { phase, ..Evidence::default() };
        evidence.ask_socket(fd.as_fd());
        evidence.ask_host(peer, None);
        evidence
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// Operations as [`Error::op`](crate::Error::op) names them.
    #[test]
    fn each_call_has_its_phase() {
        for (op, phase, established) in [
            ("getaddrinfo", Phase::Resolve, false),
            ("socket", Phase::Socket, false),
            ("setsockopt SO_BINDTODEVICE", Phase::Socket, false),
            ("setsockopt", Phase::Socket, false),
            ("bind", Phase::Bind, false),
            ("connect", Phase::Connect, false),
            ("getsockname", Phase::Connect, false),
            ("send", Phase::Send, true),
            ("write", Phase::Send, true),
            ("recv", Phase::Receive, true),
            ("read", Phase::Receive, true),
            ("shutdown", Phase::Shutdown, true),
        ] {
            assert_eq!(Phase::of_call(op), phase, "{op}");
            assert_eq!(phase.is_established(), established, "{op}");
        }
    }

    #[test]
    fn a_connection_reports_queued_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(addr).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        server.peek(&mut [0; 5]).unwrap();
        let mut evidence = Evidence::of_connection(&client, Phase::Receive, addr);
        evidence.written = 5;
        assert_eq!(evidence.local, client.local_addr().ok());
        assert_eq!((evidence.queued, evidence.unread), (Some(0), Some(0)));
        assert_eq!(evidence.acknowledged(), Some(5));
        assert!(evidence.kernel.retries2.is_some() && evidence.kernel.port_range.is_some());
        assert!(matches!(evidence.route, Some(Route::Source(ip)) if ip == addr.ip()));
        assert!(evidence.routers.is_empty());
    }

    #[test]
    fn a_file_gives_no_evidence_and_no_error() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let evidence = Evidence::of_connection(&file, Phase::Send, "127.0.0.1:1".parse().unwrap());
        assert!(evidence.tcp.is_none() && evidence.queued.is_none() && evidence.local.is_none());
    }
}
