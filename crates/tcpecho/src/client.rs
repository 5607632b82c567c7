//! Connects to one of several addresses (UNP 5.4, 11.12 `tcp_connect`).

mod handshake;
mod happy_eyeballs;
mod host_facts;
pub mod lookup;
mod open_error;
pub mod relay;

use std::{
    error, fmt, io,
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, ioctl_fionbio},
    net::{getpeername, getsockname, sockopt},
};

#[cfg(test)]
pub(crate) use self::handshake::new_socket;
pub use self::{
    handshake::{Handshake, Progress},
    happy_eyeballs::HappyEyeballs,
    host_facts::{HostFacts, ask_host},
    open_error::OpenError,
};
use crate::{Diagnosis, Ending, Error, Evidence, Keepalive, evidence::Tried};

/// Options of a connection. The default is the kernel's behaviour: any source address, no time limit besides the
/// kernel's, one address after the other.
///
/// ```
/// use std::time::Duration;
/// use tcpecho::ConnectOptions;
///
/// let options = ConnectOptions::default().timeout(Duration::from_secs(3)).overlap(true);
/// ```
#[derive(Debug, Clone)]
pub struct ConnectOptions<'a> {
    source: Option<SocketAddr>,
    device: Option<String>,
    timeout: Option<Duration>,
    overlap: bool,
    interrupt: Option<BorrowedFd<'a>>,
    keepalive: Option<Keepalive>,
    user_timeout: Option<Duration>,
    evidence: bool,
    facts: Option<Arc<HostFacts>>,
    tracer: Option<&'a dyn Tracer>,
}

impl<'a> ConnectOptions<'a> {
    /// Sets the local address to connect from; with port 0 the kernel chooses the port.
    #[must_use]
    pub fn source(mut self, addr: impl Into<Option<SocketAddr>>) -> Self {
        self.source = addr.into();
        self
    }

    /// Sets the name of the interface to use (socket(7), `SO_BINDTODEVICE`).
    #[must_use]
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.device = Some(name.into());
        self
    }

    /// Sets the time limit for each address; `None` waits as long as the kernel does, about two minutes.
    #[must_use]
    pub fn timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.timeout = limit.into();
        self
    }

    /// Tries the addresses in parallel (RFC 8305): IPv6 and IPv4 alternate, and each attempt starts 250 ms after the
    /// previous one, or when that has failed. `false` tries them one after the other, in order.
    #[must_use]
    pub fn overlap(mut self, overlap: bool) -> Self {
        self.overlap = overlap;
        self
    }

    /// Sets a descriptor that ends the blocking functions with [`Ending::Interrupted`] when it becomes readable. It is
    /// not read from.
    #[must_use]
    pub fn interrupt(mut self, fd: impl Into<Option<BorrowedFd<'a>>>) -> Self {
        self.interrupt = fd.into();
        self
    }

    /// Sets keepalive probes for an idle connection (tcp(7), `SO_KEEPALIVE`); `None` sends none.
    #[must_use]
    pub fn keepalive(mut self, keepalive: impl Into<Option<Keepalive>>) -> Self {
        self.keepalive = keepalive.into();
        self
    }

    /// Sets the time after which unacknowledged data ends the connection (tcp(7), `TCP_USER_TIMEOUT`); `None` uses the
    /// kernel's limit, about 15 minutes. It does not limit the handshake. The kernel uses it instead of the number of
    /// keepalive probes.
    #[must_use]
    pub fn user_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.user_timeout = limit.into();
        self
    }

    /// Sets whether to gather evidence about failures, which is the default: ICMP errors, TCP_INFO, routes and sysctls
    /// of this host. `false` saves system calls for programs that make thousands of connections; a failure is then
    /// diagnosed from its errno alone.
    #[must_use]
    pub fn evidence(mut self, gather: bool) -> Self {
        self.evidence = gather;
        self
    }

    /// Sets a cache of facts about this host, shared by attempts that may fail often; `None` reads the facts about this
    /// host for each failure.
    #[must_use]
    pub fn facts(mut self, cache: impl Into<Option<Arc<HostFacts>>>) -> Self {
        self.facts = cache.into();
        self
    }

    /// Sets a tracer, which is called for each system call of the attempts.
    #[must_use]
    pub fn tracer(mut self, tracer: &'a dyn Tracer) -> Self {
        self.tracer = Some(tracer);
        self
    }
}

impl Default for ConnectOptions<'_> {
    fn default() -> Self {
        ConnectOptions {
            source: None,
            device: None,
            timeout: None,
            overlap: false,
            interrupt: None,
            keepalive: None,
            user_timeout: None,
            evidence: true,
            facts: None,
            tracer: None,
        }
    }
}

/// Watches the system calls that make a connection.
pub trait Tracer: fmt::Debug + Send + Sync {
    /// A call has been made.
    fn saw(&self, call: &Call);
}

/// A system call and its result, as text.
#[derive(Debug, Clone)]
pub struct Call {
    /// The call, as its man page names it.
    pub op: &'static str,
    /// Its arguments, or an address.
    pub about: String,
    /// Its result.
    pub result: String,
    /// The TCP state after the call, such as `SYN_SENT`, if it is known.
    pub state: Option<&'static str>,
}

/// A failed attempt to connect to one address.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Attempt {
    /// The address.
    pub addr: SocketAddr,
    /// What the failure means.
    pub ending: Ending,
    /// The call that failed.
    pub error: Error,
    /// Time from the first call to the failure.
    pub elapsed: Duration,
    /// The evidence at the time of the failure.
    pub evidence: Box<Evidence>,
    /// The diagnosis of the error and the evidence.
    pub diagnosis: Diagnosis,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl error::Error for Attempt {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<&Attempt> for Tried {
    fn from(attempt: &Attempt) -> Self {
        let Attempt { addr, ending, elapsed, .. } = *attempt;
        Tried { addr, ending, elapsed }
    }
}

/// A connected TCP socket, non-blocking and with `TCP_NODELAY`, with the attempts that led to it.
///
/// `TCP_NODELAY` is set because Nagle's algorithm and the peer's delayed ACK would delay small writes by 40 ms (UNP
/// 7.9).
///
/// ```
/// use std::io::{Read, Write};
/// use tcpecho::{ConnectOptions, Connection, Server};
///
/// let server = Server::start()?;
/// let connection = Connection::open(server.addrs(), &ConnectOptions::default())?;
/// assert_eq!(connection.peer, server.addr());
/// let mut stream = connection.into_blocking()?;
/// stream.write_all(b"hello")?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
    /// The local address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub peer: SocketAddr,
    /// Time from the first call to the established connection, for the address that answered.
    pub connect_time: Duration,
    /// The attempts that failed before this connection was established, in the order in which they failed.
    pub failed: Vec<Attempt>,
    /// The addresses that had not answered yet, with the time since the start of the attempt. These attempts were
    /// cancelled.
    pub outrun: Vec<(SocketAddr, Duration)>,
}

impl Connection {
    /// Connects to one of `addrs` and blocks until the first connection is established. The addresses are tried one after the
    /// other, or in parallel with [`ConnectOptions::overlap`].
    ///
    /// # Errors
    /// If every attempt failed: all attempts, each with its diagnosis. After an
    /// [interruption](ConnectOptions::interrupt) no further address is tried.
    pub fn open(addrs: &[SocketAddr], options: &ConnectOptions<'_>) -> Result<Self, OpenError> {
        let mut attempts = HappyEyeballs::new(addrs.to_vec(), options.clone());
        loop {
            attempts = match attempts.on_ready(Instant::now()) {
                Progress::Pending(attempts) => attempts,
                Progress::Connected(connection) => return Ok(connection),
                Progress::Failed(failed) => return Err(failed),
            };
            match wait(&attempts, options.interrupt) {
                Ok(Woken::Attempts) => {}
                Ok(Woken::Interrupt) => {
                    // A connection that is established by now is kept.
                    return match attempts.on_ready(Instant::now()) {
                        Progress::Pending(attempts) => {
                            Err(attempts.abandon("connect", Errno::INTR))
                        }
                        Progress::Connected(connection) => Ok(connection),
                        Progress::Failed(failed) => Err(failed),
                    };
                }
                Err(errno) => return Err(attempts.abandon("poll", errno)),
            }
        }
    }

    /// Returns the socket as a blocking stream of the standard library.
    ///
    /// # Errors
    /// Those of ioctl(2), which does not fail for a socket.
    pub fn into_blocking(self) -> io::Result<TcpStream> {
        let stream = TcpStream::from(self);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

enum Woken {
    Attempts,
    Interrupt,
}

/// Blocks until one of the attempts or the interruption is ready, or the time of one has come.
fn wait(attempts: &HappyEyeballs<'_>, interrupt: Option<BorrowedFd<'_>>) -> Result<Woken, Errno> {
    let left = attempts.deadline().map(|at| at.saturating_duration_since(Instant::now()));
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    let mut watched: Vec<PollFd<'_>> =
        attempts.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)).collect();
    let handshakes = watched.len();
    watched.extend(interrupt.map(|stop| PollFd::from_borrowed_fd(stop, PollFlags::IN)));
    match poll(&mut watched, left.as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Woken::Attempts),
        Err(errno) => return Err(errno),
    }
    let interrupted = watched.iter().skip(handshakes).any(|stop| !stop.revents().is_empty());
    Ok(if interrupted { Woken::Interrupt } else { Woken::Attempts })
}

impl From<Connection> for OwnedFd {
    /// Keeps the socket, which stays non-blocking.
    fn from(connection: Connection) -> Self {
        connection.fd
    }
}

impl From<Connection> for TcpStream {
    /// Keeps the socket, which stays non-blocking; [`Connection::into_blocking`] makes a blocking one.
    fn from(connection: Connection) -> Self {
        connection.fd.into()
    }
}

impl TryFrom<OwnedFd> for Connection {
    type Error = Error;

    /// Takes over a connected TCP socket and makes it non-blocking, with `TCP_NODELAY`. Its connect time is not known and
    /// is zero.
    fn try_from(fd: OwnedFd) -> Result<Self, Error> {
        let named = |op: &'static str| move |errno: Errno| Error::new(op, errno);
        let local =
            getsockname(&fd).and_then(SocketAddr::try_from).map_err(named("getsockname"))?;
        let peer = getpeername(&fd).map_err(named("getpeername"))?;
        let peer = peer.ok_or(Errno::NOTCONN).and_then(SocketAddr::try_from);
        let peer = peer.map_err(named("getpeername"))?;
        ioctl_fionbio(&fd, true).map_err(named("ioctl FIONBIO"))?;
        sockopt::set_tcp_nodelay(&fd, true).map_err(named("setsockopt TCP_NODELAY"))?;
        let (failed, outrun) = (Vec::new(), Vec::new());
        Ok(Connection { fd, local, peer, connect_time: Duration::ZERO, failed, outrun })
    }
}

impl TryFrom<TcpStream> for Connection {
    type Error = Error;

    /// Takes over a connected socket, as from an [`OwnedFd`].
    fn try_from(stream: TcpStream) -> Result<Self, Error> {
        OwnedFd::from(stream).try_into()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    use rustix::{
        io::Errno,
        net::{self, sockopt},
    };

    use super::*;

    fn overlapping() -> ConnectOptions<'static> {
        ConnectOptions::default().overlap(true)
    }

    fn listen(addr: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        (listener, addr)
    }

    /// An address where nobody listens, as long as the socket that holds its port lives.
    fn deserted() -> (OwnedFd, SocketAddr) {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let fd = new_socket(any).unwrap();
        net::bind(&fd, &any).unwrap();
        let addr = SocketAddr::try_from(net::getsockname(&fd).unwrap()).unwrap();
        (fd, addr)
    }

    #[test]
    fn the_first_address_that_answers_is_taken_and_the_failures_before_it_kept() {
        let (listener, good) = listen("127.0.0.1:0");
        let (_held, bad) = deserted();
        let connection = Connection::open(&[bad, good, bad], &ConnectOptions::default()).unwrap();
        let (mut server, from) = listener.accept().unwrap();
        assert_eq!((connection.peer, connection.local), (good, from));
        let [failure] = connection.failed.as_slice() else { panic!("{:?}", connection.failed) };
        assert_eq!((failure.addr, failure.ending), (bad, Ending::Refused));
        assert_eq!(failure.error.op, "connect");

        assert!(sockopt::tcp_nodelay(&connection).unwrap());
        assert_eq!(rustix::io::read(&connection, &mut [0; 1]), Err(Errno::AGAIN));
        let mut stream = TcpStream::from(connection.fd);
        stream.set_nonblocking(false).unwrap();
        server.write_all(b"x").unwrap();
        let mut got = [0];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"x");
    }

    #[test]
    fn every_failure_is_kept() {
        let (one, other) = (deserted(), deserted());
        let addrs = [one.1, other.1];
        let failed = Connection::open(&addrs, &ConnectOptions::default()).unwrap_err().attempts;
        assert_eq!(failed.iter().map(|a| a.addr).collect::<Vec<_>>(), addrs);
        assert!(failed.iter().all(|a| a.error.source == crate::Errno::ECONNREFUSED));
    }

    #[test]
    fn a_source_is_bound() {
        let (_listener, addr) = listen("127.0.0.1:0");
        let source: SocketAddr = "127.0.0.9:0".parse().unwrap();
        let how = ConnectOptions::default().source(source);
        assert_eq!(Connection::open(&[addr], &how).unwrap().local.ip().to_string(), "127.0.0.9");

        if TcpListener::bind("192.0.2.1:0").is_ok() {
            println!("SKIP: net.ipv4.ip_nonlocal_bind is on here");
            return;
        }
        // 192.0.2.0/24 is nobody's (RFC 5737).
        let source: SocketAddr = "192.0.2.1:0".parse().unwrap();
        let how = ConnectOptions::default().source(source);
        let failed = Connection::open(&[addr], &how).unwrap_err().attempts;
        assert_eq!((failed[0].error.op, failed[0].ending), ("bind", Ending::NoLocalPort));
    }

    /// A listener whose accept queue, one place long, is taken: further SYNs are dropped.
    fn full() -> (OwnedFd, SocketAddr, TcpStream) {
        let (fd, addr) = deserted();
        net::listen(&fd, 0).unwrap();
        let first = TcpStream::connect(addr).unwrap();
        // connect(2) returns before the listener has seen the final ACK.
        while tcpecho_os::tcp_info::listen_queue(&fd).unwrap().length == 0 {
            std::thread::yield_now();
        }
        (fd, addr, first)
    }

    #[test]
    fn the_time_limit_ends_an_attempt() {
        let (_listener, addr, _first) = full();
        let how = ConnectOptions::default().timeout(Duration::from_millis(50));
        let failed = Connection::open(&[addr], &how).unwrap_err().attempts;
        assert_eq!(failed[0].ending, Ending::ConnectTimeout);
        assert!(failed[0].elapsed >= Duration::from_millis(50));
    }

    #[test]
    fn an_interruption_ends_all_attempts() {
        let (_listener, addr, _first) = full();
        let (stop, other_end) = rustix::pipe::pipe().unwrap();
        drop(other_end);
        let how = ConnectOptions::default().interrupt(stop.as_fd());
        let failed = Connection::open(&[addr, addr], &how).unwrap_err().attempts;
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].ending, Ending::Interrupted);
        let error = &failed[0].error;
        assert_eq!(
            (error.op, error.addr, error.source),
            ("connect", Some(addr), crate::Errno::EINTR)
        );
    }

    #[test]
    fn a_race_passes_by_an_address_that_does_not_answer() {
        let (_listener, silent, _first) = full();
        let (_listener, good) = listen("127.0.0.1:0");
        let connection = Connection::open(&[silent, good], &overlapping()).unwrap();
        assert_eq!(connection.peer, good);
        let [(outrun, after)] = connection.outrun[..] else { panic!("{:?}", connection.outrun) };
        assert_eq!(outrun, silent);
        assert!(after >= happy_eyeballs::ATTEMPT_DELAY);
        assert!(connection.failed.is_empty());
    }

    #[test]
    fn a_lost_race_has_every_failure_with_its_evidence() {
        let (one, other) = (deserted(), deserted());
        let failed = Connection::open(&[one.1, other.1], &overlapping()).unwrap_err().attempts;
        assert_eq!(failed.len(), 2);
        for attempt in failed {
            assert_eq!(attempt.evidence.peer, Some(attempt.addr));
            assert!(attempt.evidence.tcp.is_some() && attempt.evidence.local.is_some());
        }
    }

    #[test]
    fn options_are_set_on_the_connection() {
        let (_listener, addr) = listen("127.0.0.1:0");
        let how = ConnectOptions::default()
            .keepalive(Keepalive::default())
            .user_timeout(Duration::from_secs(9));
        let connection = Connection::open(&[addr], &how).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&connection), Ok(9000));
        assert_eq!(sockopt::tcp_keepidle(&connection), Ok(Keepalive::default().idle));
        assert_eq!(sockopt::socket_keepalive(&connection), Ok(true));
    }

    #[test]
    fn a_tracer_sees_the_calls_and_the_states() {
        #[derive(Debug, Default)]
        struct Notes(std::sync::Mutex<Vec<Call>>);
        impl Tracer for Notes {
            fn saw(&self, call: &Call) {
                self.0.lock().unwrap().push(call.clone());
            }
        }
        let (_listener, addr) = listen("127.0.0.1:0");
        let notes = Notes::default();
        let how = ConnectOptions::default().tracer(&notes);
        let _connection = Connection::open(&[addr], &how).unwrap();
        let seen = notes.0.into_inner().unwrap();
        let ops: Vec<_> = seen.iter().map(|call| call.op).collect();
        assert_eq!((ops[0], ops[ops.len() - 1]), ("socket", "connect"));
        assert_eq!(seen[seen.len() - 1].state, Some("ESTABLISHED"));
    }

    #[test]
    fn a_self_connection_is_a_refused_connection() {
        // An address of this test's own, so that nobody takes the port once it is free.
        let addr = listen("127.9.8.7:0").1;
        let how = ConnectOptions::default().source(addr);
        let failed = Connection::open(&[addr], &how).unwrap_err().attempts;
        assert_eq!(failed[0].ending, Ending::Refused);
        assert_eq!(failed[0].error.notes.len(), 1);
    }
}
