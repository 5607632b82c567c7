//! The client's side of a connection: a socket and how it was made (UNP 5.4, 11.12 `tcp_connect`).

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType, sockopt},
};

use crate::{Ending, Error};

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
    /// The addresses that were tried before, in order.
    pub failed: Vec<Attempt>,
}

impl Connection {
    /// Tries every address in turn and keeps the first connection.
    ///
    /// # Errors
    /// Every attempt with its own reason, in order, where no address answered; none if `addrs` is
    /// empty. After an [interruption](Connector::interrupt) nothing further is tried.
    pub fn open(addrs: &[SocketAddr], how: &Connector<'_>) -> Result<Self, Vec<Attempt>> {
        let mut failed = Vec::new();
        for &addr in addrs {
            let start = Instant::now();
            match attempt(addr, how, start) {
                Ok((fd, local)) => {
                    let connect_time = start.elapsed();
                    return Ok(Connection { fd, local, peer: addr, connect_time, failed });
                }
                Err(error) => {
                    let ending = Ending::of_connect(error.source);
                    failed.push(Attempt { addr, ending, error, elapsed: start.elapsed() });
                    if ending == Ending::Interrupted {
                        break;
                    }
                }
            }
        }
        Err(failed)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn attempt(
    addr: SocketAddr,
    how: &Connector<'_>,
    start: Instant,
) -> Result<(OwnedFd, SocketAddr), Error> {
    let fd = new_socket(addr)?;
    if let Some(source) = how.source {
        bind_source(&fd, source)?;
    }
    let fail = |errno| Error::at("connect", addr, errno);
    match net::connect(&fd, &addr) {
        Ok(()) => {}
        // Under way; a signal's handler does not undo that (UNP 5.9).
        Err(Errno::INPROGRESS | Errno::INTR) => wait(&fd, addr, how, start)?,
        Err(errno) => return Err(fail(errno)),
    }
    let local = net::getsockname(&fd).and_then(SocketAddr::try_from).map_err(fail)?;
    // A free port of our own range can meet itself: TCP's simultaneous open, with one socket for
    // both.
    if local == addr {
        let note = "the kernel had joined the socket to itself: nobody listens there";
        return Err(fail(Errno::CONNREFUSED).note(note));
    }
    Ok((fd, local))
}

fn new_socket(addr: SocketAddr) -> Result<OwnedFd, Error> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = net::socket_with(family, SocketType::STREAM, flags, None)
        .map_err(|errno| Error::at("socket", addr, errno))?;
    sockopt::set_tcp_nodelay(&fd, true).map_err(|errno| Error::at("setsockopt", addr, errno))?;
    Ok(fd)
}

fn bind_source(fd: &OwnedFd, source: SocketAddr) -> Result<(), Error> {
    // A chosen port may be in TIME_WAIT after an earlier run towards another address; that is no
    // obstacle.
    if source.port() != 0 {
        sockopt::set_socket_reuseaddr(fd, true)
            .map_err(|errno| Error::at("setsockopt", source, errno))?;
    }
    net::bind(fd, &source).map_err(|errno| Error::at("bind", source, errno))
}

/// Until the handshake has ended, either way, or our patience has.
fn wait(fd: &OwnedFd, addr: SocketAddr, how: &Connector<'_>, start: Instant) -> Result<(), Error> {
    let fail = |errno| Error::at("connect", addr, errno);
    loop {
        let left = how.timeout.map(|limit| limit.saturating_sub(start.elapsed()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut watched = vec![PollFd::new(fd, PollFlags::OUT)];
        watched.extend(how.interrupt.as_ref().map(|stop| PollFd::new(stop, PollFlags::IN)));
        match poll(&mut watched, left.as_ref()) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::at("poll", addr, errno)),
            Ok(0) => return Err(out_of_patience(addr, start.elapsed())),
            Ok(_) if !watched[0].revents().is_empty() => return outcome(fd).map_err(fail),
            Ok(_) => return Err(fail(Errno::INTR)),
        }
    }
}

fn outcome(fd: &OwnedFd) -> Result<(), Errno> {
    match sockopt::socket_error(fd)? {
        // The peer's FIN and then its RST came after the handshake: it did connect, and the reader
        // will see the FIN.
        Err(Errno::PIPE) => Ok(()),
        result => result,
    }
}

fn out_of_patience(addr: SocketAddr, waited: Duration) -> Error {
    Error::at("connect", addr, Errno::TIMEDOUT)
        .note(format!("no answer to our SYN within {waited:.1?}, the time allowed"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
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
    fn a_socket_joined_to_itself_is_no_connection() {
        // An address of this test's own, so that nobody takes the port once it is free.
        let addr = listen("127.9.8.7:0").1;
        let how = Connector { source: Some(addr), ..Connector::default() };
        let failed = Connection::open(&[addr], &how).unwrap_err();
        assert_eq!(failed[0].ending, Ending::Refused);
        assert_eq!(failed[0].error.notes.len(), 1);
    }
}
