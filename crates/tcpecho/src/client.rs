//! The client's side of a connection: a socket and how it was made (UNP 5.4, 11.12 `tcp_connect`).

mod attempt;
mod field;

use std::{
    fmt,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use tcpecho_os::tcp_state::TcpState;

#[cfg(test)]
pub(crate) use self::attempt::new_socket;
use self::field::Field;
use crate::{Diagnosis, Ending, Error, Evidence, Keepalive, race::Race};

/// How connections are made. The default is the kernel's way: any source, no limit of ours, no
/// interruption.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connector<'a> {
    /// The address of this host to connect from; with port 0 the kernel chooses the port.
    pub source: Option<SocketAddr>,
    /// How long one address is tried; `None` waits as long as the kernel does, about two minutes.
    pub timeout: Option<Duration>,
    /// Ends the attempts, as [`Ending::Interrupted`], once it is readable. It is never read from.
    pub interrupt: Option<BorrowedFd<'a>>,
    /// When a silent peer is asked whether it is still there (tcp(7), SO_KEEPALIVE); `None` never.
    pub keepalive: Option<Keepalive>,
    /// How long what was sent may stay unacknowledged (tcp(7), TCP_USER_TIMEOUT); `None` leaves it to the kernel, about a
    /// quarter of an hour. It is set once the connection is there, so the handshake has its own limit; and it takes the
    /// place of keepalive's count of probes.
    pub user_timeout: Option<Duration>,
    /// Is told of each call as it is made.
    pub witness: Option<&'a dyn Witness>,
}

/// Whoever wants to see the calls that make a connection.
pub trait Witness: fmt::Debug {
    /// A call has been made.
    fn saw(&self, call: &Call);
}

/// A system call, or what became of one, for people to read.
#[derive(Debug, Clone)]
pub struct Call {
    /// The call, as its man page names it.
    pub op: &'static str,
    /// What it was about: arguments, or an address.
    pub about: String,
    /// What it came to.
    pub result: String,
    /// The state in which it left the socket, where there is one.
    pub state: Option<TcpState>,
}

/// One address that was tried in vain.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The address.
    pub addr: SocketAddr,
    /// What the failure means.
    pub ending: Ending,
    /// The call that failed.
    pub error: Error,
    /// From the first call to the failure.
    pub elapsed: Duration,
    /// What else was known when it failed.
    pub evidence: Box<Evidence>,
    /// What both mean.
    pub diagnosis: Diagnosis,
}

/// A connected socket, non-blocking and with `TCP_NODELAY`, and how it was made.
///
/// `TCP_NODELAY` because small writes that follow each other at once are what an echo client makes:
/// Nagle's algorithm and the peer's delayed ACK would hold each one for 40 ms (UNP 7.9).
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
    /// The address and port on this side.
    pub local: SocketAddr,
    /// The address and port connected to.
    pub peer: SocketAddr,
    /// From the first call to the established connection; of the address that answered only.
    pub connect_time: Duration,
    /// The addresses that had failed by then, in the order in which they did.
    pub failed: Vec<Attempt>,
    /// The addresses that were still being tried, and for how long; they were given up for this one.
    pub outrun: Vec<(SocketAddr, Duration)>,
}

impl Connection {
    /// Tries every address in turn and keeps the first connection.
    ///
    /// # Errors
    /// Every attempt with its own reason, in order, where no address answered; none if `addrs` is
    /// empty. After an [interruption](Connector::interrupt) nothing further is tried.
    pub fn open(addrs: &[SocketAddr], how: &Connector<'_>) -> Result<Self, Vec<Attempt>> {
        Field::new(Race::one_at_a_time(), how).run(addrs)
    }

    /// Tries the addresses beside each other, the families alternating, each a quarter of a second after the one before
    /// or when that has failed, and keeps the first connection (RFC 8305, "Happy Eyeballs").
    ///
    /// # Errors
    /// As [`Connection::open`], in the order in which the attempts failed.
    pub fn race(addrs: &[SocketAddr], how: &Connector<'_>) -> Result<Self, Vec<Attempt>> {
        Field::new(Race::overlapping(), how).run(addrs)
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
        let connection = Connection::open(&[bad, good, bad], &Connector::default()).unwrap();
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
        let failed = Connection::open(&addrs, &Connector::default()).unwrap_err();
        assert_eq!(failed.iter().map(|a| a.addr).collect::<Vec<_>>(), addrs);
        assert!(failed.iter().all(|a| a.error.source == Errno::CONNREFUSED));
    }

    #[test]
    fn a_source_is_bound() {
        let (_listener, addr) = listen("127.0.0.1:0");
        let source = Some("127.0.0.9:0".parse().unwrap());
        let how = Connector { source, ..Connector::default() };
        assert_eq!(Connection::open(&[addr], &how).unwrap().local.ip().to_string(), "127.0.0.9");

        if TcpListener::bind("192.0.2.1:0").is_ok() {
            println!("SKIP: net.ipv4.ip_nonlocal_bind is on here");
            return;
        }
        // 192.0.2.0/24 is nobody's (RFC 5737).
        let source = Some("192.0.2.1:0".parse().unwrap());
        let failed =
            Connection::open(&[addr], &Connector { source, ..Connector::default() }).unwrap_err();
        assert_eq!((failed[0].error.op, failed[0].ending), ("bind", Ending::NoLocalPort));
    }

    /// A listener whose accept queue, one place long, is taken: further SYNs are dropped.
    fn full() -> (OwnedFd, SocketAddr, TcpStream) {
        let (fd, addr) = deserted();
        net::listen(&fd, 0).unwrap();
        let first = TcpStream::connect(addr).unwrap();
        // connect(2) returns before the listener has seen the last ACK.
        while tcpecho_os::tcp_info::listen_queue(&fd).unwrap().length == 0 {
            std::thread::yield_now();
        }
        (fd, addr, first)
    }

    #[test]
    fn patience_ends() {
        let (_listener, addr, _first) = full();
        let timeout = Some(Duration::from_millis(50));
        let failed =
            Connection::open(&[addr], &Connector { timeout, ..Connector::default() }).unwrap_err();
        assert_eq!(failed[0].ending, Ending::ConnectTimeout);
        assert!(failed[0].elapsed >= Duration::from_millis(50));
    }

    #[test]
    fn an_interruption_ends_all_attempts() {
        let (_listener, addr, _first) = full();
        let (stop, other_end) = rustix::pipe::pipe().unwrap();
        drop(other_end);
        let how = Connector { interrupt: Some(stop.as_fd()), ..Connector::default() };
        let failed = Connection::open(&[addr, addr], &how).unwrap_err();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].ending, Ending::Interrupted);
    }

    #[test]
    fn a_race_passes_by_an_address_that_does_not_answer() {
        let (_listener, silent, _first) = full();
        let (_listener, good) = listen("127.0.0.1:0");
        let connection = Connection::race(&[silent, good], &Connector::default()).unwrap();
        assert_eq!(connection.peer, good);
        let [(outrun, after)] = connection.outrun[..] else { panic!("{:?}", connection.outrun) };
        assert_eq!(outrun, silent);
        assert!(after >= crate::race::ATTEMPT_DELAY);
        assert!(connection.failed.is_empty());
    }

    #[test]
    fn a_race_that_nobody_wins_has_every_failure_with_its_evidence() {
        let (one, other) = (deserted(), deserted());
        let failed = Connection::race(&[one.1, other.1], &Connector::default()).unwrap_err();
        assert_eq!(failed.len(), 2);
        for attempt in failed {
            assert_eq!(attempt.evidence.peer, Some(attempt.addr));
            assert!(attempt.evidence.tcp.is_some() && attempt.evidence.local.is_some());
        }
    }

    #[test]
    fn options_are_set_on_the_connection() {
        let (_listener, addr) = listen("127.0.0.1:0");
        let how = Connector {
            keepalive: Some(Keepalive::default()),
            user_timeout: Some(Duration::from_secs(9)),
            ..Connector::default()
        };
        let connection = Connection::open(&[addr], &how).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&connection), Ok(9000));
        assert_eq!(sockopt::tcp_keepidle(&connection), Ok(Keepalive::default().idle));
        assert_eq!(sockopt::socket_keepalive(&connection), Ok(true));
    }

    #[test]
    fn a_witness_sees_the_calls_and_the_states() {
        #[derive(Debug, Default)]
        struct Notes(std::sync::Mutex<Vec<Call>>);
        impl Witness for Notes {
            fn saw(&self, call: &Call) {
                self.0.lock().unwrap().push(call.clone());
            }
        }
        let (_listener, addr) = listen("127.0.0.1:0");
        let notes = Notes::default();
        let how = Connector { witness: Some(&notes), ..Connector::default() };
        let _connection = Connection::open(&[addr], &how).unwrap();
        let seen = notes.0.into_inner().unwrap();
        let ops: Vec<_> = seen.iter().map(|call| call.op).collect();
        assert_eq!((ops[0], ops[ops.len() - 1]), ("socket", "connect"));
        assert_eq!(seen[seen.len() - 1].state, Some(TcpState::Established));
    }

    #[test]
    fn a_socket_joined_to_itself_is_no_connection() {
        // An address of this test's own, so that nobody takes the port once it is free.
        let addr = listen("127.9.8.7:0").1;
        let how = Connector { source: Some(addr), ..Connector::default() };
        let failed = Connection::open(&[addr], &how).unwrap_err();
        assert_eq!(failed[0].ending, Ending::Refused);
        assert_eq!(failed[0].error.notes.len(), 1);
    }
}
