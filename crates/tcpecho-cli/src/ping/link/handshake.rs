//! An attempt to connect to one address, under way.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{self, sockopt},
};
use tcpecho::{
    Attempt, Error, Evidence,
    evidence::{Tried, failed_retransmissions},
};
use tcpecho_os::{
    error_queue::{QueuedError, take_errors},
    tcp_info::{TcpState, tcp_info},
};

use super::way::{Way, begin, new_socket};

/// What routers have said during one handshake, at most.
const ROUTERS: usize = 16;
/// After this long a handshake is slow enough to look whether this host itself keeps its SYNs from going out; the first
/// retransmission comes after a second.
const SLOW: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Handshake {
    fd: OwnedFd,
    peer: SocketAddr,
    since: Instant,
    /// There may be something to see: poll said so, or it is new.
    ready: bool,
    /// What routers have said so far.
    routers: Vec<QueuedError>,
    /// It was found slow; and the retransmissions that this host could not send until then.
    slow: bool,
    unsendable: Option<u64>,
}

/// A handshake that is complete.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) fd: OwnedFd,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) took: Duration,
}

/// What has become of one.
pub(super) enum Outcome {
    Pending,
    Connected(SocketAddr),
    /// With our own deadline, where that came first.
    Failed(Error, Option<Duration>),
}

impl Handshake {
    /// Sends a SYN to `peer`; `tried` is what became of other addresses.
    pub(super) fn start(
        peer: SocketAddr,
        way: &Way,
        tried: Vec<Tried>,
        now: Instant,
    ) -> Result<Self, Box<Attempt>> {
        let evidence = Evidence { tried, ..Evidence::default() };
        let failed =
            |fd, error| Box::new(way.failure(fd, peer, error, now.elapsed(), evidence.clone()));
        let fd = new_socket(peer).map_err(|error| failed(None, error))?;
        begin(&fd, peer, way).map_err(|error| failed(Some(fd.as_fd()), error))?;
        let (routers, unsendable) = (Vec::new(), None);
        Ok(Handshake { fd, peer, since: now, ready: true, routers, slow: false, unsendable })
    }

    /// When it will have taken long, and then too long.
    pub(super) fn deadline(&self, way: &Way) -> Option<Instant> {
        let limit = if self.slow { way.timeout } else { way.timeout.min(SLOW) };
        self.since.checked_add(limit)
    }

    /// Poll has something to say about it.
    pub(super) fn note_ready(&mut self) {
        self.ready = true;
    }

    /// For so long nobody looked: that time is not counted.
    pub(super) fn postpone(&mut self, span: Duration) {
        self.since = self.since.checked_add(span).unwrap_or(self.since);
    }

    /// What has become of it by now.
    pub(super) fn proceed(&mut self, way: &Way, now: Instant) -> Outcome {
        if std::mem::take(&mut self.ready)
            && let Some(outcome) = self.outcome()
        {
            return match outcome {
                Ok(local) => Outcome::Connected(local),
                Err(error) => Outcome::Failed(error, None),
            };
        }
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= way.timeout {
            return Outcome::Failed(self.out_of_patience(elapsed), Some(way.timeout));
        }
        if elapsed >= SLOW && !self.slow {
            (self.slow, self.unsendable) = (true, failed_retransmissions());
        }
        Outcome::Pending
    }

    /// None while it is under way.
    fn outcome(&mut self) -> Option<Result<SocketAddr, Error>> {
        let fail = |errno| Error::at("connect", self.peer, errno);
        match sockopt::socket_error(&self.fd) {
            // The peer's FIN and then its RST came after the handshake: it did connect.
            Ok(Ok(()) | Err(Errno::PIPE)) => {}
            Ok(Err(errno)) | Err(errno) => return Some(Err(fail(errno))),
        }
        match net::getpeername(&self.fd) {
            Ok(_) => {}
            Err(Errno::NOTCONN) if !self.is_closed() => {
                // A router's error that the kernel takes for a soft one: only the queue has it, and would keep poll awake.
                self.routers.extend(take_errors(&self.fd).unwrap_or_default());
                self.routers.truncate(ROUTERS);
                return None;
            }
            // It came and went before we looked.
            Err(_) => {}
        }
        let local = net::getsockname(&self.fd).and_then(SocketAddr::try_from).map_err(fail);
        // A free port of our own range can meet itself: TCP's simultaneous open, with one socket.
        Some(local.and_then(|local| {
            if local == self.peer {
                let note = "the kernel had joined the socket to itself: nobody listens there";
                return Err(fail(Errno::CONNREFUSED).note(note));
            }
            Ok(local)
        }))
    }

    fn is_closed(&self) -> bool {
        tcp_info(&self.fd).is_ok_and(|info| info.state == TcpState::Close)
    }

    /// Our own limit came first.
    fn out_of_patience(&self, waited: Duration) -> Error {
        Error::at("connect", self.peer, Errno::TIMEDOUT)
            .note(format!("no answer to our SYN within {waited:.1?}, the time allowed"))
    }

    pub(super) fn connected(self, local: SocketAddr, now: Instant) -> Connected {
        let took = now.saturating_duration_since(self.since);
        Connected { fd: self.fd, peer: self.peer, local, took }
    }

    /// It has failed; `tried` is what became of other addresses.
    pub(super) fn failed(
        mut self,
        error: Error,
        deadline: Option<Duration>,
        tried: Vec<Tried>,
        way: &Way,
        now: Instant,
    ) -> Attempt {
        let unsendable = self.unsendable.and_then(|_| failed_retransmissions());
        let own_drops = self.unsendable.zip(unsendable).map(|(then, now)| now.saturating_sub(then));
        let routers = std::mem::take(&mut self.routers);
        let evidence = Evidence { routers, tried, own_drops, deadline, ..Evidence::default() };
        let elapsed = now.saturating_duration_since(self.since);
        way.failure(Some(self.fd.as_fd()), self.peer, error, elapsed, evidence)
    }

    /// It is not waited for any longer.
    pub(super) fn given_up(self, tried: Vec<Tried>, way: &Way, now: Instant) -> Attempt {
        let waited = now.saturating_duration_since(self.since);
        let error = self.out_of_patience(waited);
        self.failed(error, Some(waited), tried, way, now)
    }
}

impl AsFd for Handshake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
