//! What routers say against an established connection (RFC 1122 4.2.3.9, RFC 5461).
//!
//! An ICMP error is no reason to end a connection at once: routes come back, and TCP sends again. But it says within
//! milliseconds what the retransmissions would take minutes to find out. So such errors are asked for (`IP_RECVERR`); on
//! Linux the connection outlives them, and each is told once by a call. One is believed when it has stood for a second
//! and nothing has been acknowledged since.

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

/// How long a router's word has to stand.
const STANDS: Duration = Duration::from_secs(1);
/// How many words are kept; a router may send as many as it likes.
const MOST: usize = 16;

/// Words against the connection, and since when.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    since: Option<(Instant, &'static str, Errno)>,
    /// What was said, the oldest first.
    pub(super) routers: Vec<QueuedError>,
}

impl Doubt {
    /// Asks the kernel for them; without them the connection is as any other.
    pub(super) fn begin(socket: impl AsFd) -> Self {
        let _ = set_receive_errors(socket, true);
        Doubt::default()
    }

    /// Takes what is in the error queue, which would keep poll(2) awake.
    pub(super) fn hear(&mut self, socket: BorrowedFd<'_>) {
        let heard = take_errors(socket).unwrap_or_default();
        let room = MOST.saturating_sub(self.routers.len());
        self.routers.extend(heard.into_iter().take(room));
    }

    /// Whether this error is only a router's word, and the connection lives.
    pub(super) fn takes(&mut self, op: &'static str, errno: Errno, socket: BorrowedFd<'_>) -> bool {
        let lives = tcp_info(socket).is_ok_and(|info| info.state != TcpState::Close);
        if lives {
            self.hear(socket);
            self.since.get_or_insert((Instant::now(), op, errno));
        }
        lives
    }

    /// Something came of the peer.
    pub(super) fn forget(&mut self) {
        self.since = None;
    }

    /// The call and its errno that say best why the connection has ended: that nothing was acknowledged in time is what a
    /// router had said would happen.
    pub(super) fn explains(&self, op: &'static str, errno: Errno) -> (&'static str, Errno) {
        match self.since {
            Some((_, op, said)) if errno == Errno::TIMEDOUT => (op, said),
            _ => (op, errno),
        }
    }

    /// How long until the doubt is settled, if there is one.
    pub(super) fn left(&self) -> Option<Duration> {
        self.since.map(|(since, ..)| STANDS.saturating_sub(since.elapsed()))
    }

    /// The call and its errno that were right.
    pub(super) fn settled(&mut self, socket: BorrowedFd<'_>) -> Option<(&'static str, Errno)> {
        let (since, op, errno) = self.since?;
        if since.elapsed() < STANDS {
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
