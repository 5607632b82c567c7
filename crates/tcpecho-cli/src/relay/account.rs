//! What the loop tells of itself: each call as it happens, and what is known when it is over.

use std::{os::fd::BorrowedFd, time::Duration};

use rustix::{io::Errno, net};
use tcpecho::{Connection, Ending, Evidence, Phase};

use super::{End, Relay};
use crate::explain::Explain;

impl Relay<'_> {
    pub(super) fn explain(&self, op: &'static str, about: String, result: Result<String, Errno>) {
        if let Some(explain) = self.explain {
            explain.call(self.socket, op, about, result);
        }
    }

    /// What is known now that it is over.
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
        let mut routers = std::mem::take(&mut self.doubt.routers);
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

    /// Whether a line server may be waiting for the rest of a line: what is owed contains no newline, and what came back
    /// ended with one.
    fn has_unfinished_line(&self) -> bool {
        let (front, back) = self.up.remembered();
        let owed = self.rules.check && !(front.is_empty() && back.is_empty());
        let whole_lines_came = self.last_returned.is_none_or(|byte| byte == b'\n');
        owed && whole_lines_came && !front.contains(&b'\n') && !back.contains(&b'\n')
    }

    /// A peer that may not send because we do not read, and so does not read either, is not dead; the kernel's limit would
    /// end the connection all the same. It is lifted for good: `timeout` still watches, and knows the difference.
    pub(super) fn lift_user_timeout(&mut self) {
        let _ = net::sockopt::set_tcp_user_timeout(self.socket, 0);
        self.rules.user_timeout = None;
    }
}

pub(super) fn explain_recv(
    explain: &Explain,
    socket: BorrowedFd<'_>,
    received: Result<&[u8], &Errno>,
) {
    let result = match received {
        Ok([]) => Ok("0: the peer's FIN".into()),
        Ok(bytes) => Ok(format!("{} bytes", bytes.len())),
        Err(&(Errno::AGAIN | Errno::INTR)) => return,
        Err(errno) => Err(*errno),
    };
    explain.call(socket, "recv", String::new(), result);
}
