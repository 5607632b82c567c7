//! One connection attempt: a non-blocking connect(2) to one address (UNP 16.3), and the evidence if it fails.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType, sockopt},
};
use tcpecho_os::{
    error_queue::{Origin, QueuedError, take_errors},
    socket::{bind_to_device, set_bind_address_no_port, set_receive_errors},
    tcp_info::tcp_info,
    tcp_state::TcpState,
};

use super::{Attempt, ConnectOptions, Connection, HostFacts, ask_host};
use crate::{
    Diagnosis, Ending, Error, Evidence, Keepalive,
    evidence::{Phase, Tried, failed_retransmissions},
};

/// Errors of routers that are kept from one handshake, at most.
const ROUTER_ERRORS: usize = 16;
/// A handshake that takes longer is slow enough to check whether this host itself fails to send its SYNs: the first
/// retransmission comes after one second (RFC 6298 2.1).
const SLOW: Duration = Duration::from_millis(500);

/// The state of an attempt of type `A`; `F` is the type of its failure.
#[derive(Debug)]
#[must_use]
pub enum Progress<A, F> {
    /// Still in progress.
    Pending(A),
    /// Established.
    Connected(Connection),
    /// Failed.
    Failed(F),
}

/// A TCP connection attempt in progress. Never blocks.
///
/// Wait until [`as_fd`](AsFd::as_fd) is writable or [`deadline`](Handshake::deadline) has passed, then call
/// [`on_ready`](Handshake::on_ready).
///
/// ```
/// use std::time::Instant;
/// use rustix::event::{PollFd, PollFlags, poll};
/// use tcpecho::{ConnectOptions, Handshake, Progress};
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let addr = listener.local_addr()?;
/// let mut handshake = Handshake::start(addr, &ConnectOptions::default()).map_err(|failed| failed.error)?;
/// let connection = loop {
///     match handshake.on_ready(Instant::now()) {
///         Progress::Connected(connection) => break connection,
///         Progress::Failed(failed) => return Err(failed.error.into()),
///         Progress::Pending(pending) => handshake = pending,
///     }
///     poll(&mut [PollFd::new(&handshake, PollFlags::OUT)], None)?;
/// };
/// assert_eq!(connection.peer, addr);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Handshake {
    fd: OwnedFd,
    peer: SocketAddr,
    started: Instant,
    /// connect(2) returned success at once, as it usually does on loopback.
    established: bool,
    router_errors: Vec<QueuedError>,
    /// The handshake was found slow, and how many retransmissions this host had failed to send until then.
    slow: bool,
    send_failures: Option<u64>,
    timeout: Option<Duration>,
    keepalive: Option<Keepalive>,
    user_timeout: Option<Duration>,
    evidence: bool,
    facts: Option<Arc<HostFacts>>,
}

impl Handshake {
    /// Sends a SYN to `addr`: calls socket(2), bind(2) if the options require it, and connect(2).
    ///
    /// # Errors
    /// The failed call, with the evidence.
    pub fn start(addr: SocketAddr, options: &ConnectOptions<'_>) -> Result<Self, Box<Attempt>> {
        let started = Instant::now();
        let (peer, source) = on_the_wire(addr, options.source);
        let fd = new_socket(peer).map_err(|error| {
            let known = known(None, peer, &error, options.facts.as_deref(), Evidence::default());
            Box::new(Attempt::of(peer, error, started.elapsed(), known))
        })?;
        let mut handshake = Handshake {
            fd,
            peer,
            started,
            established: false,
            router_errors: Vec::new(),
            slow: false,
            send_failures: None,
            timeout: options.timeout,
            keepalive: options.keepalive,
            user_timeout: options.user_timeout,
            evidence: options.evidence,
            facts: options.facts.clone(),
        };
        match handshake.connect(source, options) {
            Ok(()) => Ok(handshake),
            Err(error) => Err(handshake.failed(error, None, Instant::now())),
        }
    }

    fn connect(
        &mut self,
        source: Option<SocketAddr>,
        options: &ConnectOptions<'_>,
    ) -> Result<(), Error> {
        if let Some(device) = &options.device {
            bind_to_device(&self.fd, device).map_err(|errno| {
                Error::at("setsockopt", self.peer, errno)
                    .note(format!("interface {}", device.escape_debug()))
            })?;
        }
        if let Some(source) = source {
            bind_source(&self.fd, source)?;
        }
        if self.evidence {
            // Only the error queue names the router that refuses a SYN; reading it costs nothing if none does.
            let _ = set_receive_errors(&self.fd, true);
        }
        match net::connect(&self.fd, &self.peer) {
            Ok(()) => self.established = true,
            // A signal's handler does not undo it (UNP 5.9).
            Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(errno) => return Err(Error::at("connect", self.peer, errno)),
        }
        Ok(())
    }

    /// Returns the peer's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns whether connect(2) established the connection at once. If so, the caller need not wait.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Returns the time at which the attempt started, plus the spans of [`postpone`](Handshake::postpone).
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Returns when to call [`on_ready`](Handshake::on_ready) even if the descriptor is not writable.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let slow = (self.evidence && !self.slow).then_some(SLOW);
        let first = [self.timeout, slow].into_iter().flatten().min()?;
        self.started.checked_add(first)
    }

    /// Extends the deadline by `span`, a time in which this program did not run.
    pub fn postpone(&mut self, span: Duration) {
        self.started = self.started.checked_add(span).unwrap_or(self.started);
    }

    /// Returns the state of the attempt at `now`.
    pub fn on_ready(mut self, now: Instant) -> Progress<Self, Box<Attempt>> {
        match self.outcome() {
            Some(Ok(local)) => match self.set_options() {
                Ok(()) => return Progress::Connected(self.connected(local, now)),
                Err(error) => return Progress::Failed(self.failed(error, None, now)),
            },
            Some(Err(error)) => return Progress::Failed(self.failed(error, None, now)),
            None => {}
        }
        let elapsed = now.saturating_duration_since(self.started);
        if let Some(limit) = self.timeout.filter(|limit| elapsed >= *limit) {
            return Progress::Failed(self.timed_out(limit, now));
        }
        if self.evidence && !self.slow && elapsed >= SLOW {
            (self.slow, self.send_failures) = (true, failed_retransmissions());
        }
        Progress::Pending(self)
    }

    /// Ends the attempt as timed out. Call it when a time limit of the caller has passed.
    #[must_use]
    pub fn give_up(self, now: Instant) -> Box<Attempt> {
        let waited = now.saturating_duration_since(self.started);
        self.timed_out(waited, now)
    }

    /// Ends the attempt because a call of the caller failed.
    #[must_use]
    pub(super) fn abandon(self, op: &'static str, errno: Errno) -> Box<Attempt> {
        let error = Error::at(op, self.peer, errno);
        self.failed(error, None, Instant::now())
    }

    fn timed_out(self, limit: Duration, now: Instant) -> Box<Attempt> {
        let error = Error::at("connect", self.peer, Errno::TIMEDOUT).note(format!(
            "no answer to our SYN within {}, the time limit",
            crate::duration::show_duration(limit)
        ));
        self.failed(error, Some(limit), now)
    }

    /// The local address once the handshake is complete; `None` while it is under way.
    fn outcome(&mut self) -> Option<Result<SocketAddr, Error>> {
        let fail = |errno| Error::at("connect", self.peer, errno);
        if !self.established {
            match sockopt::socket_error(&self.fd) {
                // EPIPE: the peer's FIN and then its RST came after the handshake. It did connect, and the reader will
                // see the FIN.
                Ok(Ok(()) | Err(Errno::PIPE)) => {}
                Ok(Err(errno)) | Err(errno) => return Some(Err(fail(errno))),
            }
            if matches!(state(&self.fd), Some(TcpState::SynSent | TcpState::SynRecv)) {
                // A router's error that the kernel takes for a soft one: only the queue has it, and would keep poll awake.
                self.router_errors.extend(take_errors(&self.fd).unwrap_or_default());
                self.router_errors.truncate(ROUTER_ERRORS);
                return None;
            }
        }
        let local = local_address(&self.fd).map_err(fail);
        // With a local port that the kernel chose, a socket can connect to itself: TCP's simultaneous open (RFC 9293
        // 3.5) needs no second socket.
        Some(local.and_then(|local| {
            if local == self.peer {
                let note = "the kernel connected the socket to itself (self-connection): nobody \
                            listens on that port";
                return Err(fail(Errno::CONNREFUSED).note(note));
            }
            Ok(local)
        }))
    }

    /// Sets the options of an established connection.
    fn set_options(&self) -> Result<(), Error> {
        let named = |op: &'static str| move |errno: Errno| Error::at(op, self.peer, errno);
        if self.evidence {
            let _ = set_receive_errors(&self.fd, false);
        }
        if let Some(Keepalive { idle, interval, count }) = self.keepalive {
            sockopt::set_socket_keepalive(&self.fd, true)
                .map_err(named("setsockopt SO_KEEPALIVE"))?;
            sockopt::set_tcp_keepidle(&self.fd, idle).map_err(named("setsockopt TCP_KEEPIDLE"))?;
            sockopt::set_tcp_keepintvl(&self.fd, interval)
                .map_err(named("setsockopt TCP_KEEPINTVL"))?;
            sockopt::set_tcp_keepcnt(&self.fd, count).map_err(named("setsockopt TCP_KEEPCNT"))?;
        }
        if let Some(limit) = self.user_timeout {
            let ms = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
            sockopt::set_tcp_user_timeout(&self.fd, ms)
                .map_err(named("setsockopt TCP_USER_TIMEOUT"))?;
        }
        Ok(())
    }

    fn connected(self, local: SocketAddr, now: Instant) -> Connection {
        Connection {
            fd: self.fd,
            local,
            peer: self.peer,
            connect_time: now.saturating_duration_since(self.started),
            failed: Vec::new(),
            outrun: Vec::new(),
        }
    }

    fn failed(self, error: Error, deadline: Option<Duration>, now: Instant) -> Box<Attempt> {
        let elapsed = now.saturating_duration_since(self.started);
        let Handshake { fd, peer, router_errors, send_failures, evidence, facts, .. } = self;
        let mut known_so_far = Evidence { deadline, ..Evidence::default() };
        if evidence {
            let failures = send_failures.and_then(|_| failed_retransmissions());
            known_so_far.own_drops =
                send_failures.zip(failures).map(|(then, now)| now.saturating_sub(then));
            known_so_far.routers = router_errors;
            let socket = Some(fd.as_fd());
            known_so_far = known(socket, peer, &error, facts.as_deref(), known_so_far);
        }
        Box::new(Attempt::of(peer, error, elapsed, known_so_far))
    }

    /// The address that the socket is bound to, once it has one.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        local_address(&self.fd).ok()
    }
}

impl AsFd for Handshake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Adds what the socket and this host say of a failure.
fn known(
    fd: Option<BorrowedFd<'_>>,
    peer: SocketAddr,
    error: &Error,
    facts: Option<&HostFacts>,
    mut evidence: Evidence,
) -> Evidence {
    if let Some(fd) = fd {
        evidence.ask_socket(fd);
    }
    ask_host(&mut evidence, peer, Some(error.source.into()), facts);
    evidence
}

impl Attempt {
    /// Returns the most informative attempt. An answer of the peer is more informative than one of a router, then comes
    /// no answer, and then a packet that was not sent. Of equally informative attempts it returns the last.
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

    /// The same attempt, diagnosed again in the light of what happened to other addresses of the name.
    #[must_use]
    pub(super) fn beside(self, tried: Vec<Tried>) -> Self {
        let Attempt { addr, error, elapsed, mut evidence, .. } = self;
        evidence.tried = tried;
        Attempt::of(addr, error, elapsed, *evidence)
    }

    /// Diagnoses the `error` of an attempt to connect to `addr`. Sets the phase, the elapsed time and the peer of
    /// `evidence`.
    #[must_use]
    pub fn of(addr: SocketAddr, error: Error, elapsed: Duration, mut evidence: Evidence) -> Self {
        evidence.phase = Phase::of_call(error.op);
        (evidence.elapsed, evidence.peer) = (elapsed, Some(addr));
        let diagnosis = Diagnosis::of(&error.clone().into(), &evidence);
        let ending = diagnosis.ending;
        Attempt { addr, ending, error, elapsed, evidence: Box::new(evidence), diagnosis }
    }
}

fn state(fd: &OwnedFd) -> Option<TcpState> {
    tcp_info(fd).ok().map(|info| info.state)
}

fn local_address(fd: &OwnedFd) -> Result<SocketAddr, Errno> {
    net::getsockname(fd).and_then(SocketAddr::try_from)
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
