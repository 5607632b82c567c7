//! One address: a socket, its options, and connect(2) without blocking.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType, sockopt},
};
use tcpecho_os::{
    error_queue::{Origin, QueuedError, take_errors},
    socket::{set_bind_address_no_port, set_receive_errors},
    tcp_info::tcp_info,
    tcp_state::TcpState,
};

use super::{Attempt, Call, Connector};
use crate::{Diagnosis, Ending, Error, Evidence, Keepalive, evidence::Phase};

/// A handshake under way.
pub(super) struct Running {
    /// Its number in the race.
    pub(super) number: usize,
    pub(super) fd: OwnedFd,
    pub(super) addr: SocketAddr,
    pub(super) start: Instant,
    /// What routers have said so far.
    routers: Vec<QueuedError>,
}

/// What has become of it.
pub(super) enum Outcome {
    Pending,
    Connected(SocketAddr),
    Failed(Error),
}

impl Running {
    /// Starts a handshake, or fails before there could be one.
    pub(super) fn start(
        number: usize,
        addr: SocketAddr,
        how: &Connector<'_>,
    ) -> Result<Self, Box<Attempt>> {
        let start = Instant::now();
        let (addr, source) = on_the_wire(addr, how.source);
        let failed = |error: Error| Box::new(attempt(addr, error, start, Evidence::default()));
        let fd = new_socket(addr).map_err(failed)?;
        how.tell("socket", family(addr), "ok".into(), Some(TcpState::Close));
        if let Some(source) = source {
            bind_source(&fd, source).map_err(failed)?;
            let bound = local(&fd).map_or_else(|_| "ok".into(), |local| local.to_string());
            how.tell("bind", source.to_string(), bound, Some(TcpState::Close));
        }
        // Which router refuses a SYN is told by the error queue only; it costs nothing if none does.
        let _ = set_receive_errors(&fd, true);
        let running = Running { number, fd, addr, start, routers: Vec::new() };
        match net::connect(&running.fd, &addr) {
            // A signal's handler does not undo it (UNP 5.9).
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {
                running.tell_under_way(how);
                Ok(running)
            }
            Err(errno) => {
                let error = Error::at("connect", addr, errno);
                Err(Box::new(running.failed(error, Evidence::default())))
            }
        }
    }

    fn tell_under_way(&self, how: &Connector<'_>) {
        if how.witness.is_some() {
            let from = local(&self.fd).map_or_else(|_| "?".into(), |local| local.to_string());
            let result = format!("SYN sent from {from}");
            // That it was so when the call returned is what EINPROGRESS says; by now the answer may have come.
            how.tell("connect", self.addr.to_string(), result, Some(TcpState::SynSent));
        }
    }

    /// Looks what has become of it, once poll has something to say of it.
    pub(super) fn outcome(&mut self, how: &Connector<'_>) -> Outcome {
        let fail = |errno| Outcome::Failed(Error::at("connect", self.addr, errno));
        match sockopt::socket_error(&self.fd) {
            Err(errno) | Ok(Err(errno)) if errno != Errno::PIPE => return fail(errno),
            // EPIPE: the peer's FIN and then its RST came after the handshake. It did connect, and the reader will see
            // the FIN.
            _ => {}
        }
        if state(&self.fd) == Some(TcpState::SynSent) {
            // A router's error that the kernel takes for a soft one: only the queue has it, and would keep poll awake.
            self.routers.extend(take_errors(&self.fd).unwrap_or_default());
            self.routers.truncate(16);
            return Outcome::Pending;
        }
        let local = match local(&self.fd) {
            Ok(local) => local,
            Err(errno) => return fail(errno),
        };
        // A free port of our own range can meet itself: TCP's simultaneous open, with one socket for both.
        if local == self.addr {
            let note = "the kernel had joined the socket to itself: nobody listens there";
            let error = Error::at("connect", self.addr, Errno::CONNREFUSED).note(note);
            return Outcome::Failed(error);
        }
        let _ = set_receive_errors(&self.fd, false);
        if let Err(error) = set_options(&self.fd, self.addr, how) {
            return Outcome::Failed(error);
        }
        let result = format!("SYN-ACK came after {:.1?}", self.start.elapsed());
        how.tell("connect", self.addr.to_string(), result, state(&self.fd));
        Outcome::Connected(local)
    }

    /// Its time is up.
    pub(super) fn too_late(self, limit: Duration, evidence: Evidence) -> Attempt {
        let waited = self.start.elapsed();
        let error = Error::at("connect", self.addr, Errno::TIMEDOUT)
            .note(format!("no answer to our SYN within {waited:.1?}, the time allowed"));
        self.failed(error, Evidence { deadline: Some(limit), ..evidence })
    }

    /// What is known of its failure, together with `evidence`.
    pub(super) fn failed(self, error: Error, evidence: Evidence) -> Attempt {
        let mut evidence = Evidence { routers: self.routers, ..evidence };
        evidence.ask_socket(self.fd.as_fd());
        attempt(self.addr, error, self.start, evidence)
    }
}

/// Adds what this host tells.
fn attempt(addr: SocketAddr, error: Error, start: Instant, mut evidence: Evidence) -> Attempt {
    let elapsed = start.elapsed();
    evidence.ask_host(addr, Some(error.source));
    Attempt::of(addr, error, elapsed, evidence)
}

impl Attempt {
    /// The attempt that says most about why there is no connection: an answer of the peer before one of a router, that
    /// before silence, and all of them before what this host could not even send; the last among equals.
    #[must_use]
    pub fn most_informative(attempts: &[Attempt]) -> Option<&Attempt> {
        attempts.iter().max_by_key(|attempt| attempt.weight())
    }

    fn weight(&self) -> u8 {
        let answered_by_router =
            self.evidence.routers.iter().any(|error| error.origin != Origin::Local);
        match self.ending {
            Ending::Refused | Ending::Reset => 4,
            _ if answered_by_router => 3,
            Ending::ConnectTimeout => 2,
            // An address of a family or a network that this host does not have.
            Ending::NetworkUnreachable | Ending::BadAddress => 0,
            _ => 1,
        }
    }

    /// What this error of an attempt at `addr` means in the light of `evidence`; its phase, time and peer are filled in.
    #[must_use]
    pub fn of(addr: SocketAddr, error: Error, elapsed: Duration, mut evidence: Evidence) -> Self {
        evidence.phase = Phase::of_call(error.op);
        (evidence.elapsed, evidence.peer) = (elapsed, Some(addr));
        let diagnosis = Diagnosis::of(&error.clone().into(), &evidence);
        let ending = diagnosis.ending;
        Attempt { addr, ending, error, elapsed, evidence: Box::new(evidence), diagnosis }
    }
}

impl Connector<'_> {
    /// Tells the witness, if there is one.
    pub(super) fn tell(
        &self,
        op: &'static str,
        about: String,
        result: String,
        state: Option<TcpState>,
    ) {
        if let Some(witness) = self.witness {
            witness.saw(&Call { op, about, result, state });
        }
    }
}

fn state(fd: &OwnedFd) -> Option<TcpState> {
    tcp_info(fd).ok().map(|info| info.state)
}

fn local(fd: &OwnedFd) -> Result<SocketAddr, Errno> {
    net::getsockname(fd).and_then(SocketAddr::try_from)
}

fn family(addr: SocketAddr) -> String {
    if addr.is_ipv4() { "AF_INET" } else { "AF_INET6" }.into()
}

pub(crate) fn new_socket(addr: SocketAddr) -> Result<OwnedFd, Error> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = net::socket_with(family, SocketType::STREAM, flags, None)
        .map_err(|errno| Error::at("socket", addr, errno))?;
    sockopt::set_tcp_nodelay(&fd, true)
        .map_err(|errno| Error::at("setsockopt TCP_NODELAY", addr, errno))?;
    // What the peer sends as urgent is a part of its answer like any other (RFC 6093).
    sockopt::set_socket_oobinline(&fd, true)
        .map_err(|errno| Error::at("setsockopt SO_OOBINLINE", addr, errno))?;
    Ok(fd)
}

/// The addresses as packets carry them: `::ffff:192.0.2.1` is IPv4. A source that is truly IPv6 leaves both as they are,
/// and the kernel says that they do not go together.
fn on_the_wire(addr: SocketAddr, source: Option<SocketAddr>) -> (SocketAddr, Option<SocketAddr>) {
    let given = (addr, source);
    let canonical = |addr: SocketAddr| match addr.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, addr.port()),
        IpAddr::V6(_) => addr,
    };
    match (canonical(addr), source.map(canonical)) {
        (addr, Some(source)) if addr.is_ipv4() == source.is_ipv4() => (addr, Some(source)),
        (addr, None) => (addr, None),
        _ => given,
    }
}

fn bind_source(fd: &OwnedFd, source: SocketAddr) -> Result<(), Error> {
    // A chosen port may be in TIME_WAIT after an earlier run towards another address; that is no
    // obstacle.
    if source.port() != 0 {
        sockopt::set_socket_reuseaddr(fd, true)
            .map_err(|errno| Error::at("setsockopt SO_REUSEADDR", source, errno))?;
    } else {
        // Else the port would be taken towards every peer; without the option it is.
        let _ = set_bind_address_no_port(fd, true);
    }
    net::bind(fd, &source).map_err(|errno| Error::at("bind", source, errno))
}

/// Those of an established connection.
fn set_options(fd: &OwnedFd, addr: SocketAddr, how: &Connector<'_>) -> Result<(), Error> {
    let named = |op: &'static str| move |errno: Errno| Error::at(op, addr, errno);
    if let Some(Keepalive { idle, interval, count }) = how.keepalive {
        sockopt::set_socket_keepalive(fd, true).map_err(named("setsockopt SO_KEEPALIVE"))?;
        sockopt::set_tcp_keepidle(fd, idle).map_err(named("setsockopt TCP_KEEPIDLE"))?;
        sockopt::set_tcp_keepintvl(fd, interval).map_err(named("setsockopt TCP_KEEPINTVL"))?;
        sockopt::set_tcp_keepcnt(fd, count).map_err(named("setsockopt TCP_KEEPCNT"))?;
    }
    if let Some(limit) = how.user_timeout {
        let ms = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(fd, ms).map_err(named("setsockopt TCP_USER_TIMEOUT"))?;
    }
    Ok(())
}
