//! One accepted connection from accept to close, with its accounting.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
    time::{Duration, Instant},
};

use rustix::io::Errno;

use crate::{Ending, Error, Fired, counted::bytes};

/// How a session ended, and the call that said so where one failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    pub(crate) call: Option<(&'static str, Errno)>,
}

impl Outcome {
    /// The peer's FIN came, and everything received before it was sent.
    pub(crate) const FINISHED: Outcome = Outcome::of(Ending::Finished);

    pub(crate) const fn of(ending: Ending) -> Self {
        Outcome { ending, call: None }
    }

    /// `op` failed on an established connection.
    pub(crate) fn failed(op: &'static str, errno: Errno) -> Self {
        Outcome { ending: Ending::of_established(errno), call: Some((op, errno)) }
    }

    /// `op` failed for want of something on this host.
    pub(crate) const fn no_room(op: &'static str, errno: Errno) -> Self {
        Outcome { ending: Ending::Limit, call: Some((op, errno)) }
    }

    /// The loop ends because of `error`, and all its sessions with it.
    pub(crate) fn of_loop(error: &Error) -> Self {
        Outcome {
            ending: Ending::of_local(error.source),
            call: Some((error.op, error.source.into())),
        }
    }

    /// Returns the outcome once the server closes everything, because of `failure` if there is one: a call that fails then
    /// does so because of our own abort, whatever its errno says of the peer.
    pub(crate) fn while_letting_go(self, failure: Option<Outcome>) -> Self {
        match self.ending {
            Ending::Finished | Ending::Idle => self,
            _ => failure.unwrap_or(Outcome::of(Ending::Draining)),
        }
    }
}

/// What is known of a session whose server tracks its sessions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tracked {
    /// Its number.
    pub(crate) id: Option<u64>,
    /// A reset was asked for.
    pub(crate) reset: bool,
}

/// What a session carries while it lives. Kept small: this is all the memory that an idle connection costs an engine,
/// beside its descriptor's number.
#[derive(Debug)]
pub(crate) struct Session {
    ip: [u8; 16],
    started_us: u64,
    /// Bytes sent.
    pub(crate) bytes: u64,
    pub(crate) received: u64,
    /// In the order of accept, from 1 on.
    pub(crate) number: u64,
    scope: u32,
    port: u16,
    /// For the engine's own use.
    pub(crate) mark: u8,
}

impl Session {
    pub(crate) fn new(peer: SocketAddr, origin: Instant, number: u64) -> Self {
        let (ip, scope) = match peer {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        let started_us = origin.elapsed().as_micros() as u64;
        Session {
            ip: ip.octets(),
            started_us,
            bytes: 0,
            received: 0,
            number,
            scope,
            port: peer.port(),
            mark: 0,
        }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        let ip = Ipv6Addr::from(self.ip);
        match ip.to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, self.port)),
            None => SocketAddr::V6(SocketAddrV6::new(ip, self.port, 0, self.scope)),
        }
    }

    pub(crate) fn report(
        &self,
        outcome: Outcome,
        origin: Instant,
        fault: Option<Fired>,
        tracked: Tracked,
    ) -> Report {
        let now_us = origin.elapsed().as_micros() as u64;
        Report {
            number: self.number,
            peer: self.peer(),
            ending: outcome.ending,
            call: outcome.call.map(|(op, errno)| (op, errno.into())),
            bytes: self.bytes,
            received: self.received,
            duration: Duration::from_micros(now_us.saturating_sub(self.started_us)),
            fault,
            id: tracked.id,
            reset: tracked.reset,
        }
    }
}

/// The report about a connection that has ended.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// The number of the connection, from 1 on in the order of accept. [`FaultWhen`](crate::FaultWhen) counts the same.
    pub number: u64,
    /// The peer's address; an IPv4 peer of a dual-stack listener is shown as IPv4.
    pub peer: SocketAddr,
    /// How the connection ended.
    pub ending: Ending,
    /// The failed system call that ended the connection: its name, such as `recv`, and its error number. `None` if no call
    /// failed. After a failed call the server closes the connection with RST, because FIN would tell the peer that the echo
    /// is complete.
    pub call: Option<(&'static str, crate::Errno)>,
    /// Bytes sent: those that the kernel accepted for sending. The peer need not have received them all.
    pub bytes: u64,
    /// Bytes received: those that the server has read, in an echo or for a step of its script. Bytes that are discarded
    /// because the connection ends, or left unread, do not count.
    pub received: u64,
    /// Time from accept to close.
    pub duration: Duration,
    /// The fault that the connection had, if it had one.
    pub fault: Option<Fired>,
    /// The number of the connection, if the server [tracks its sessions](crate::ServerBuilder::track_sessions).
    pub id: Option<u64>,
    /// Whether [`Server::reset`](crate::Server::reset) ended it.
    pub reset: bool,
}

impl Report {
    /// Returns whether the peer closed properly, as far as the server saw it: its FIN came, and no RST, before the server
    /// ended the connection. A peer that half-closes counts, too.
    #[must_use]
    pub fn peer_closed(&self) -> bool {
        self.ending == Ending::Finished
            || self.fault.as_ref().is_some_and(|fault| fault.peer_closed)
    }

    /// Returns the failed call as text, such as `recv: Connection reset by peer (ECONNRESET)`.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.call.map(|(op, errno)| format!("{op}: {errno}"))
    }
}

impl fmt::Display for Report {
    /// One line for messages of tests, such as `connection 3 from 127.0.0.1:4711: received 5 bytes, sent 5 bytes, finished`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (received, sent) = (bytes(self.received), bytes(self.bytes));
        write!(f, "connection {} from {}: received {received}", self.number, self.peer)?;
        write!(f, ", sent {sent}, {}", self.ending)?;
        if let Some(failure) = self.failure() {
            write!(f, ", {failure}")?;
        }
        if let Some(fault) = &self.fault {
            write!(f, ", {fault}")?;
        }
        Ok(())
    }
}

/// An event for the [observer](crate::ServerBuilder::observe) of a server. Failures of accept(2) are reported at most
/// once per second.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection ended.
    Ended(&'a Report),
    /// accept(2) fails; the server tries again later.
    AcceptFailing(crate::Errno),
    /// accept(2) works again.
    AcceptResumed {
        /// The number of failed calls.
        failures: u64,
        /// The time from the first failure to the success.
        lasted: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_call_is_reported_in_words() {
        let session = Session::new(([192, 0, 2, 1], 7).into(), Instant::now(), 1);
        let failure =
            |outcome| session.report(outcome, Instant::now(), None, Tracked::default()).failure();
        let reset = Outcome::failed("recv", Errno::CONNRESET);
        assert_eq!(reset.ending, Ending::Reset);
        assert_eq!(failure(reset).unwrap(), "recv: Connection reset by peer (ECONNRESET)");
        assert_eq!(failure(Outcome::FINISHED), None);
    }

    /// Ends that came before the server let go of everything are kept; a call that fails afterwards fails because of that.
    #[test]
    fn a_session_that_ended_by_itself_was_not_drained() {
        for row in crate::ending::ENDINGS {
            let kept = matches!(row.ending, Ending::Finished | Ending::Idle);
            let outcome =
                Outcome { call: Some(("recv", Errno::CONNRESET)), ..Outcome::of(row.ending) };
            let wanted = if kept { outcome } else { Outcome::of(Ending::Draining) };
            assert_eq!(outcome.while_letting_go(None), wanted, "{:?}", row.ending);
            let failure = Outcome::no_room("accept", Errno::BADF);
            let wanted = if kept { outcome } else { failure };
            assert_eq!(outcome.while_letting_go(Some(failure)), wanted, "{:?}", row.ending);
        }
    }

    #[test]
    fn a_session_is_small_and_remembers_its_peer() {
        assert_eq!(size_of::<Session>(), 56);
        for text in ["192.0.2.1:7", "[2001:db8::1]:65535", "[fe80::1%3]:9"] {
            let peer: SocketAddr = text.parse().unwrap();
            assert_eq!(Session::new(peer, Instant::now(), 1).peer(), peer);
        }
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:7".parse().unwrap();
        assert_eq!(Session::new(mapped, Instant::now(), 1).peer().to_string(), "192.0.2.1:7");
    }
}
