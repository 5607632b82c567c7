//! Soft errors: ICMP errors about an established connection (RFC 1122 4.2.3.9, RFC 5461).
//!
//! A soft error is not a reason to end a connection at once: routes recover, and TCP retransmits. But it says within
//! milliseconds what retransmissions would take minutes to find out. So the loop asks for them (`IP_RECVERR`). On Linux the
//! connection survives them, and a call reports each once. One is believed after a second in which nothing was acknowledged.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tcpecho_os::{
    error_queue::{QueuedError, take_errors},
    socket::{set_receive_errors, unsent},
    tcp_info::tcp_info,
    tcp_state::TcpState,
};

/// How long a soft error has to last.
const LASTS: Duration = Duration::from_secs(1);
/// The most errors kept. A router may send any number.
const MOST: usize = 16;

/// The soft errors of a connection.
#[derive(Debug, Default)]
pub(super) struct SoftError {
    /// The one that may end the connection: since when, the call that reported it, and its error.
    since: Option<(Instant, &'static str, Errno)>,
    /// All errors, the oldest first.
    pub(super) routers: Vec<QueuedError>,
}

impl SoftError {
    /// Asks the kernel for soft errors, if it has them.
    pub(super) fn begin(socket: impl AsFd) -> Self {
        let _ = set_receive_errors(socket, true);
        SoftError::default()
    }

    /// Empties the error queue, which would keep poll(2) from waiting.
    pub(super) fn hear(&mut self, socket: BorrowedFd<'_>) {
        let heard = take_errors(socket).unwrap_or_default();
        let room = MOST.saturating_sub(self.routers.len());
        self.routers.extend(heard.into_iter().take(room));
    }

    /// Takes an error if it is soft: the connection is still open. Returns whether it is.
    pub(super) fn takes(&mut self, op: &'static str, errno: Errno, socket: BorrowedFd<'_>) -> bool {
        let lives = tcp_info(socket).is_ok_and(|info| info.state != TcpState::Close);
        if lives {
            self.hear(socket);
            self.since.get_or_insert((Instant::now(), op, errno));
        }
        lives
    }

    /// Notes that the peer has sent something.
    pub(super) fn forget(&mut self) {
        self.since = None;
    }

    /// Returns the call and the error that explain best why the connection has ended. The soft error explains a timeout.
    pub(super) fn explains(&self, op: &'static str, errno: Errno) -> (&'static str, Errno) {
        match self.since {
            Some((_, op, said)) if errno == Errno::TIMEDOUT => (op, said),
            _ => (op, errno),
        }
    }

    /// Returns how long until the soft error is believed, if there is one.
    pub(super) fn left(&self) -> Option<Duration> {
        self.since.map(|(since, ..)| LASTS.saturating_sub(since.elapsed()))
    }

    /// Returns the call and the error if the soft error is believed.
    pub(super) fn settled(&mut self, socket: BorrowedFd<'_>) -> Option<(&'static str, Errno)> {
        let (since, op, errno) = self.since?;
        if since.elapsed() < LASTS {
            return None;
        }
        // All has been acknowledged after all.
        if unsent(socket) == Ok(0) {
            self.since = None;
            return None;
        }
        self.hear(socket);
        Some((op, errno))
    }
}
