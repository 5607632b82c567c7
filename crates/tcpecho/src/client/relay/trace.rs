//! Reports the calls of the loop to a [`Tracer`].

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::{
    io::Errno,
    net::{SocketAddrAny, getsockname},
};
use tcpecho_os::{errno::words, sock_diag::tcp_sockets, tcp_info::tcp_info, tcp_state::TcpState};

use super::Relay;
use crate::{Call, Tracer, counted};

impl Relay<'_> {
    /// Reports a call on the socket.
    pub(super) fn trace(&self, op: &'static str, about: String, result: Result<String, Errno>) {
        if let Some(tracer) = self.tracer {
            trace(tracer, self.socket, op, about, result);
        }
    }
}

/// Reports a recv(2).
pub(super) fn received(
    tracer: &dyn Tracer,
    socket: BorrowedFd<'_>,
    received: Result<&[u8], &Errno>,
) {
    let result = match received {
        Ok([]) => Ok("0: the peer's FIN".into()),
        Ok(bytes) => Ok(counted::bytes(bytes.len() as u64)),
        Err(&(Errno::AGAIN | Errno::INTR)) => return,
        Err(errno) => Err(*errno),
    };
    trace(tracer, socket, "recv", String::new(), result);
}

/// Reports a call with the state of the connection after it.
fn trace(
    tracer: &dyn Tracer,
    socket: BorrowedFd<'_>,
    op: &'static str,
    about: String,
    result: Result<String, Errno>,
) {
    let result = result.unwrap_or_else(words);
    let state = tcp_info(socket).ok().map(|info| info.state);
    // A connection in TIME_WAIT does not belong to this socket any more, which reports that it is closed.
    let state = match state {
        Some(TcpState::Close) => time_wait(socket).or(state),
        state => state,
    };
    tracer.saw(&Call { op, about, result, state: state.map(TcpState::word) });
}

/// Returns the state of what the kernel keeps of a closed socket's connection.
fn time_wait(socket: impl AsFd) -> Option<TcpState> {
    let name = |addr: SocketAddrAny| SocketAddr::try_from(addr).ok();
    let local = name(getsockname(&socket).ok()?)?;
    // The socket has lost its peer's name. Its port is enough.
    let found = tcp_sockets(local.port()).ok()?;
    found.iter().find(|other| other.local == local).map(|other| other.state)
}
