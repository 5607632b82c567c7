//! What is known when the loop has ended.

use std::time::Duration;

use rustix::net;

use super::{End, Relay};
use crate::{Connection, Ending, Evidence, evidence::Phase};

impl Relay<'_> {
    /// Gathers the facts at the end.
    pub(super) fn evidence(
        &mut self,
        end: End,
        connection: &Connection,
        elapsed: Duration,
    ) -> Evidence {
        let op = match end {
            End::Connection { ending: Ending::Finished, .. } | End::OutputClosed => {
                return Evidence::default();
            }
            End::Connection { op, .. } => op,
            _ => "recv",
        };
        let now = Evidence::of_connection(connection, Phase::of_call(op), connection.peer);
        let mut routers = std::mem::take(&mut self.soft_error.routers);
        routers.extend(now.routers.iter().copied());
        Evidence {
            elapsed,
            written: self.up.passed(),
            unsent: self.up.taken() - self.up.passed(),
            // Without a check what is sent is forgotten at once, and nothing is known to have come back.
            returned: if self.rules.check { self.up.released() } else { 0 },
            received: self.down.taken(),
            echo: self.rules.check,
            fin_sent: self.fin_sent,
            peer_fin: self.peer_fin,
            unfinished_line: self.has_unfinished_line(),
            send_error: self.send_error.map(Into::into),
            routers,
            ..now
        }
    }

    /// Returns whether a line server may be waiting for the rest of a line: the bytes not echoed contain no newline, and those
    /// echoed end with one.
    fn has_unfinished_line(&self) -> bool {
        let (front, back) = self.up.remembered();
        let owed = self.rules.check && !(front.is_empty() && back.is_empty());
        let whole_lines_came = self.last_returned.is_none_or(|byte| byte == b'\n');
        owed && whole_lines_came && !front.contains(&b'\n') && !back.contains(&b'\n')
    }

    /// Lifts the user timeout for good. A peer that cannot send because we do not read, and so does not read either, is not
    /// dead, but the kernel would end the connection. [`Rules::timeout`](super::Rules::timeout) still applies.
    pub(super) fn lift_user_timeout(&mut self) {
        let _ = net::sockopt::set_tcp_user_timeout(self.socket, 0);
        self.rules.user_timeout = None;
    }
}
