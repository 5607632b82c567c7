//! The listeners of a server with a fault of the listener: no engine ever sees them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tcpecho_os::tcp_info::listen_queue;

use super::listener_fault::ListenerFault;
use crate::{
    Error,
    listener::{Listener, Options},
};

/// How long a connection to our own listener may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sockets that are kept and not served.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) listeners: Vec<Listener>,
    /// Connections of our own that fill the accept queues.
    _fillers: Vec<TcpStream>,
}

impl Held {
    /// Binds the addresses for `fault`; `None` if its listeners are served after all.
    pub(crate) fn bind(
        fault: ListenerFault,
        addrs: &[SocketAddr],
        options: &Options,
    ) -> Result<Option<Self>, Error> {
        let (listeners, fillers) = match fault {
            ListenerFault::AcceptDelay(_) => return Ok(None),
            ListenerFault::Refuse => (Listener::reserve_all(addrs, options)?, Vec::new()),
            ListenerFault::NeverAccept => (bind_one(addrs, options)?, Vec::new()),
            ListenerFault::BacklogFull => {
                // A backlog of 0 is a queue for one connection.
                let options = Options { backlog: 0, ..options.clone() };
                let listeners = bind_one(addrs, &options)?;
                let fillers = listeners.iter().map(fill).collect::<Result<Vec<_>, _>>()?;
                (listeners, fillers.into_iter().flatten().collect())
            }
        };
        Ok(Some(Held { listeners, _fillers: fillers }))
    }
}

fn bind_one(addrs: &[SocketAddr], options: &Options) -> Result<Vec<Listener>, Error> {
    Ok(Listener::bind_all(addrs, 1, options)?.into_iter().flatten().collect())
}

/// Connects to the listener until its accept queue is full. A full queue has one connection more than the backlog; the
/// kernel drops each SYN then, with SYN cookies, too.
fn fill(listener: &Listener) -> Result<Vec<TcpStream>, Error> {
    let addr = listener.addr();
    let mut fillers = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let length = || {
            listen_queue(listener)
                .map(|queue| (queue.length, queue.backlog))
                .map_err(|errno| Error::at("getsockopt TCP_INFO", addr, errno))
        };
        let (before, backlog) = length()?;
        if before > backlog {
            return Ok(fillers);
        }
        let failed = |errno| {
            Error::at("connect", addr, errno)
                .note("the accept queue cannot be filled from this host")
        };
        let filler = connect(addr)
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::TIMEDOUT)))?;
        fillers.push(filler);
        // connect(2) returns before the listener has seen the last ACK.
        while length()?.0 <= before {
            if Instant::now() > deadline {
                return Err(failed(Errno::TIMEDOUT));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Connects to a listener of this host. One on all addresses is reached by loopback; of a host without IPv6 loopback, by that
/// of IPv4.
fn connect(listener: SocketAddr) -> io::Result<TcpStream> {
    let to = |ip: IpAddr| {
        let mut addr = listener;
        addr.set_ip(ip);
        TcpStream::connect_timeout(&addr, PATIENCE)
    };
    let v4 = Ipv4Addr::LOCALHOST;
    match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => to(v4.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => to(Ipv6Addr::LOCALHOST.into())
            .or_else(|error| to(v4.to_ipv6_mapped().into()).map_err(|_| error)),
        ip => to(ip),
    }
}
