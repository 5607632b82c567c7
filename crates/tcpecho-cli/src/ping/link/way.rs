//! How connections are begun: a socket with its options (UNP 16.3, nonblocking connect).

use std::{
    net::SocketAddr,
    os::fd::{BorrowedFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType, sockopt},
};
use tcpecho::{Attempt, Error, Evidence};
use tcpecho_os::socket::set_receive_errors;

use super::host::Host;

/// How connections are made.
#[derive(Debug, Clone)]
pub(in crate::ping) struct Way {
    pub(in crate::ping) source: Option<SocketAddr>,
    /// The interface to use.
    pub(in crate::ping) device: Option<String>,
    /// How long each address may take.
    pub(in crate::ping) timeout: Duration,
    /// Try the addresses of a name beside each other (RFC 8305), and not one after the other: that takes a descriptor for
    /// each.
    pub(in crate::ping) overlap: bool,
    /// Ask for the kernel's stamps.
    pub(in crate::ping) stamps: bool,
    pub(in crate::ping) host: Rc<Host>,
}

impl Way {
    /// A host that does not acknowledge for so long is given up by the kernel, which then says why.
    pub(super) fn user_timeout(&self) -> Duration {
        let most = Duration::from_millis(u32::MAX.into());
        self.timeout.saturating_mul(2).clamp(Duration::from_secs(1), most)
    }

    /// What the failure of an attempt means; `evidence` is what else is known of it.
    pub(super) fn failure(
        &self,
        fd: Option<BorrowedFd<'_>>,
        addr: SocketAddr,
        error: Error,
        elapsed: Duration,
        mut evidence: Evidence,
    ) -> Attempt {
        if let Some(fd) = fd {
            evidence.ask_socket(fd);
        }
        self.host.tell(&mut evidence, addr, Some(error.source));
        Attempt::of(addr, error, elapsed, evidence)
    }
}

pub(super) fn new_socket(addr: SocketAddr) -> Result<OwnedFd, Error> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    net::socket_with(family, SocketType::STREAM, flags, None)
        .map_err(|errno| Error::at("socket", addr, errno))
}

/// Sends the SYN.
pub(super) fn begin(fd: &OwnedFd, addr: SocketAddr, way: &Way) -> Result<(), Error> {
    let option = |errno| Error::at("setsockopt", addr, errno);
    sockopt::set_tcp_nodelay(fd, true).map_err(option)?;
    // An urgent byte is a byte of the stream (RFC 6093): one that nobody sent must not stay unseen.
    sockopt::set_socket_oobinline(fd, true).map_err(option)?;
    if let Some(device) = &way.device {
        tcpecho_os::socket::bind_to_device(fd, device)
            .map_err(|errno| option(errno).note(format!("interface {}", device.escape_debug())))?;
    }
    if let Some(source) = way.source {
        if source.port() != 0 {
            sockopt::set_socket_reuseaddr(fd, true).map_err(option)?;
        }
        net::bind(fd, &source).map_err(|errno| Error::at("bind", source, errno))?;
    }
    // Which router refuses a SYN is told by the error queue only; it costs nothing if none does.
    let _ = set_receive_errors(fd, true);
    match net::connect(fd, &addr) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::at("connect", addr, errno)),
    }
}
