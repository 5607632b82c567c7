//! `--calls`: each call as it happens, what it came to, and the TCP state after it (UNP chapter 4, live).
//!
//! The state is what the kernel tells once the call has returned. A fast peer may have answered by then.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tcpecho::{Call, Tracer};
use tcpecho_os::{sock_diag::tcp_sockets, tcp_state::TcpState};

use crate::{
    tell::say_raw,
    width::{NO_BREAK, hang, terminal_columns},
};

/// Writes calls to standard error.
#[derive(Debug)]
pub(crate) struct Calls {
    start: Instant,
}

impl Calls {
    /// The clock starts now.
    pub(crate) fn new() -> Self {
        Calls { start: Instant::now() }
    }

    /// close(2), and what is left in the kernel afterwards.
    pub(crate) fn close(&self, local: SocketAddr, peer: SocketAddr) {
        let state = left_of(local, peer).unwrap_or(TcpState::Close);
        let (op, about) = ("close", String::new());
        let result = match state {
            TcpState::TimeWait => "the kernel keeps the pair of ports for a minute (2 MSL)",
            TcpState::Close => "nothing is left of it on this host",
            _ => "the kernel finishes it on its own",
        };
        self.saw(&Call { op, about, result: result.into(), state: Some(state.word()) });
    }
}

impl Tracer for Calls {
    fn saw(&self, call: &Call) {
        let Call { op, about, result, state } = call;
        let first = format!("{:>11}  {op:<10} ", stamp(self.start.elapsed()));
        let about = if about.is_empty() { String::new() } else { format!("{about} ") };
        let state = state.map(|state| format!("  now{NO_BREAK}{state}")).unwrap_or_default();
        let (rest, width) = (" ".repeat(first.len()), terminal_columns(&io::stderr()));
        let mut text = String::new();
        hang(
            &mut text,
            &first,
            &rest,
            &format!("{about}= {result}{state}"),
            width.unwrap_or(usize::MAX),
        );
        say_raw(&text);
    }
}

fn stamp(span: Duration) -> String {
    format!("{:.3} ms", span.as_secs_f64() * 1000.0)
}

fn left_of(local: SocketAddr, peer: SocketAddr) -> Option<TcpState> {
    let found = tcp_sockets(local.port()).ok()?;
    found.iter().find(|other| (other.local, other.remote) == (local, peer)).map(|other| other.state)
}
