//! What is known of a failure besides its errno: gathered at once when an error leaves a call, cheap, and never failing
//! itself. What cannot be read is `None`.

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

/// How far a client had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Looking the name up.
    Resolve,
    /// Making the socket and setting its options.
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
    /// Ending our direction.
    Shutdown,
}

impl Phase {
    /// The phase in which this call is made, as [`Error::op`](crate::Error::op) names it.
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

    /// Its word, as it stands in JSON.
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

    /// Whether there was a connection.
    #[must_use]
    pub fn is_established(self) -> bool {
        matches!(self, Phase::Send | Phase::Receive | Phase::Shutdown)
    }
}

/// What happened to another address of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// The address.
    pub addr: SocketAddr,
    /// How the attempt ended.
    pub ending: Ending,
    /// How long it took.
    pub elapsed: Duration,
}

/// What is known of a failure.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub struct Evidence {
    /// How far it had come.
    pub phase: Phase,
    /// Since the first call of the attempt, or since the connection was established.
    pub elapsed: Duration,
    /// Our own deadline, where one was set; it is not the kernel's.
    pub deadline: Option<Duration>,
    /// Our address, once there is a port.
    pub local: Option<SocketAddr>,
    /// The address of this host that the socket is bound to, with or without a port.
    pub source: Option<IpAddr>,
    /// The peer's.
    pub peer: Option<SocketAddr>,
    /// What the kernel knew of the connection at the failure.
    #[doc(hidden)]
    pub tcp: Option<TcpInfo>,
    /// Bytes handed to the socket.
    pub written: u64,
    /// Bytes that were to be sent and were not handed to the socket.
    pub unsent: u64,
    /// Bytes that came back as they were sent.
    pub returned: u64,
    /// Bytes read from the socket.
    pub received: u64,
    /// Whether bytes had to come back (an echo), so that `returned` counts.
    pub echo: bool,
    /// We have sent our FIN, so no more is to come from us.
    pub fin_sent: bool,
    /// The peer's FIN had come before, and the connection went on in our direction.
    pub peer_fin: bool,
    /// What has not come back is the beginning of a line: no newline is in it, and what came back before ended with one.
    pub unfinished_line: bool,
    /// Bytes handed to the socket that the peer's kernel has not acknowledged, our FIN being one (`SIOCOUTQ`).
    pub queued: Option<u32>,
    /// Bytes that had come and were not read (`SIOCINQ`).
    pub unread: Option<u32>,
    /// An earlier send failed with this; a read that ends tells the rest.
    pub send_error: Option<crate::Errno>,
    /// The ICMP errors in the socket's error queue, the oldest first.
    #[doc(hidden)]
    pub routers: Vec<QueuedError>,
    /// What the routing table says of the peer's address.
    #[doc(hidden)]
    pub route: Option<Route>,
    /// This host's own TCP settings.
    #[doc(hidden)]
    pub kernel: Kernel,
    /// TCP_USER_TIMEOUT of the socket, where one was set.
    pub user_timeout: Option<Duration>,
    /// Keepalive of the socket, where it was set.
    pub keepalive: Option<Keepalive>,
    /// Retransmissions that this host's own kernel could not send while we waited; of all its connections together.
    pub own_drops: Option<u64>,
    /// This host's sockets towards the peer's address, where ports were short.
    #[doc(hidden)]
    pub towards: Option<Towards>,
    /// The descriptor limit of this process, where it was reached.
    pub descriptor_limit: Option<u64>,
    /// What this host's network interfaces look like, where the failure may lie there.
    #[doc(hidden)]
    pub stack: Stack,
    /// Other addresses that had failed before.
    pub tried: Vec<Tried>,
}

impl Evidence {
    /// Bytes of payload that the peer's kernel has acknowledged; the SYN, which it counts too, is left out.
    #[must_use]
    pub fn acknowledged(&self) -> Option<u64> {
        Some(self.tcp?.bytes_acked?.saturating_sub(1).min(self.written))
    }

    /// Bytes of payload handed to the socket that the peer's kernel has not acknowledged: [`queued`](Self::queued) without
    /// our FIN, which is the last of what is queued.
    #[must_use]
    pub fn unacknowledged(&self) -> Option<u32> {
        Some(self.queued?.saturating_sub(u32::from(self.fin_sent)))
    }

    #[doc(hidden)]
    /// Adds what the socket can tell. It takes what is in the socket's error queue.
    pub fn ask_socket(&mut self, fd: BorrowedFd<'_>) {
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

    #[doc(hidden)]
    /// Adds what this host tells without the socket: its settings, its way to the peer, and how many there were of what
    /// `said`, the failed call's errno, found to be short.
    pub fn ask_host(&mut self, peer: SocketAddr, said: Option<Errno>) {
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

    /// The same for an established connection: also what decides how long the kernel would have waited.
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
    fn a_connection_tells_what_is_on_its_way() {
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
    fn what_is_no_connection_gives_nothing_and_does_not_fail() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let evidence = Evidence::of_connection(&file, Phase::Send, "127.0.0.1:1".parse().unwrap());
        assert!(evidence.tcp.is_none() && evidence.queued.is_none() && evidence.local.is_none());
    }
}
