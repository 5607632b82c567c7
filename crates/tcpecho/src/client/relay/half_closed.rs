//! From the peer's FIN to the end, if the peer need not echo (UNP 6.6): its direction is closed, ours is not.

use std::time::{Duration, Instant};

use rustix::{io::Errno, net::sockopt};
use tcpecho_os::{socket::unsent, tcp_info::tcp_info, tcp_state::TcpState};

use super::{CLOSED_EARLY, FINISHED, Relay, broken};

/// How long after our FIN its acknowledgement is checked. Once both directions are shut down, poll(2) reports only a hang-up,
/// and that all the time.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(1);
/// The longest time between two looks.
const LONGEST: Duration = Duration::from_millis(100);

impl Relay<'_> {
    /// Returns whether only the acknowledgement of our data and our FIN is missing.
    pub(super) fn is_settling(&self) -> bool {
        self.ended.is_none() && self.peer_fin && self.fin_sent
    }

    /// Checks whether the run is over. `told` says that poll(2) reported the socket.
    pub(super) fn see_to_half_close(&mut self, told: bool) {
        if !self.peer_fin || self.ended.is_some() {
            return;
        }
        let settling = self.is_settling();
        if told || settling {
            self.take_socket_error();
        }
        // Asked once: the acknowledgement of our FIN may come between two questions.
        let is_closed = (told || settling) && self.is_closed();
        self.ended = match self.send_error {
            // RST answered what was sent after the FIN: the peer had closed, not half-closed.
            Some(Errno::PIPE | Errno::CONNRESET) => Some(CLOSED_EARLY),
            Some(errno) => Some(broken("send", errno)),
            // Both FINs are acknowledged, and so is every byte before ours.
            None if settling && is_closed && unsent(self.socket) == Ok(0) => Some(FINISHED),
            // It is closed, and an earlier call has used up the error.
            None if is_closed => Some(CLOSED_EARLY),
            None => None,
        };
        if settling {
            self.settling = (self.settling * 2).min(LONGEST);
        }
    }

    /// Takes the error of the socket, since there is nothing left to read.
    fn take_socket_error(&mut self) {
        if let Ok(Err(errno)) = sockopt::socket_error(self.socket)
            && !self.soft_error.takes("send", errno, self.socket)
        {
            self.send_error.get_or_insert(errno);
        }
    }

    /// Returns whether the connection is closed: both FINs are acknowledged, or it broke.
    pub(super) fn is_closed(&self) -> bool {
        tcp_info(self.socket).is_ok_and(|info| info.state == TcpState::Close)
    }

    /// Counts bytes that the peer's kernel has acknowledged as moved.
    pub(super) fn note_acknowledged(&mut self) {
        let (Ok(queued), Ok(tcp)) = (unsent(self.socket), tcp_info(self.socket)) else { return };
        let acknowledged = self.up.passed().saturating_sub(queued.into());
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            let ago = Duration::from_millis(tcp.last_ack_recv_ms.into());
            let at = Instant::now().checked_sub(ago).unwrap_or(self.moved);
            self.moved = self.moved.max(at);
        }
    }
}
