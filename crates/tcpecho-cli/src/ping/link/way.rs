//! How connections are begun: a socket for the next address that does not fail at once (UNP 16.3, nonblocking connect).

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType, sockopt},
};
use tcpecho::{Ending, Error};

/// How connections are made.
#[derive(Debug, Clone)]
pub(in crate::ping) struct Way {
    pub(in crate::ping) source: Option<SocketAddr>,
    /// The interface to use.
    pub(in crate::ping) device: Option<String>,
    /// How long each address may take.
    pub(in crate::ping) timeout: Duration,
    /// Ask for the kernel's stamps.
    pub(in crate::ping) stamps: bool,
}

/// An address that could not be connected to.
#[derive(Debug, Clone)]
pub(in crate::ping) struct Failure {
    pub(in crate::ping) ending: Ending,
    pub(in crate::ping) error: Error,
    pub(in crate::ping) elapsed: Duration,
}

impl Failure {
    /// What was seen, in words.
    pub(in crate::ping) fn seen(&self) -> String {
        // A note tells the time already.
        match self.error.notes.as_slice() {
            [] => format!("{} after {:.1?}", self.error, self.elapsed),
            _ => self.error.to_string(),
        }
    }
}

/// A socket that connects to the next address; those that fail at once are noted.
pub(super) fn next_address(
    addrs: &mut VecDeque<SocketAddr>,
    failures: &mut Vec<Failure>,
    way: &Way,
) -> Option<(OwnedFd, SocketAddr)> {
    while let Some(addr) = addrs.pop_front() {
        let start = Instant::now();
        match begin(addr, way) {
            Ok(fd) => return Some((fd, addr)),
            Err(error) => {
                let ending = Ending::of_connect(error.source);
                failures.push(Failure { ending, error, elapsed: start.elapsed() });
            }
        }
    }
    None
}

fn begin(addr: SocketAddr, way: &Way) -> Result<OwnedFd, Error> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = net::socket_with(family, SocketType::STREAM, flags, None)
        .map_err(|errno| Error::at("socket", addr, errno))?;
    let option = |errno| Error::at("setsockopt", addr, errno);
    sockopt::set_tcp_nodelay(&fd, true).map_err(option)?;
    if let Some(device) = &way.device {
        tcpecho_os::socket::bind_to_device(&fd, device)
            .map_err(|errno| option(errno).note(format!("interface {}", device.escape_debug())))?;
    }
    if let Some(source) = way.source {
        if source.port() != 0 {
            sockopt::set_socket_reuseaddr(&fd, true).map_err(option)?;
        }
        net::bind(&fd, &source).map_err(|errno| Error::at("bind", source, errno))?;
    }
    match net::connect(&fd, &addr) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(fd),
        Err(errno) => Err(Error::at("connect", addr, errno)),
    }
}

/// Our own limit came first.
pub(super) fn out_of_patience(addr: SocketAddr, waited: Duration) -> Error {
    Error::at("connect", addr, Errno::TIMEDOUT)
        .note(format!("no answer to our SYN within {waited:.1?}, the time allowed"))
}
