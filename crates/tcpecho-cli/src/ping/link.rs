//! One connection, made and used without blocking: its probes under way, and what the kernel says of them.

mod flights;
mod host;
mod way;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    time::{Duration, Instant},
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{self, SendFlags, sockopt},
};
use tcpecho::{
    Attempt, Diagnosis, Error, Evidence, Symptom,
    evidence::{Phase, Tried, failed_retransmissions},
};
use tcpecho_os::{
    error_queue::{QueuedError, take_errors},
    socket::set_receive_errors,
    tcp_info::{TcpInfo, tcp_info},
    timestamping,
};

pub(super) use self::{flights::Flight, host::Host, way::Way};
use self::{
    flights::Flights,
    way::{next_address, out_of_patience},
};
use super::{
    check::{Checker, Found},
    event::{Broken, Kernel},
    probe::{Run, Stamp},
};

/// Reads in one turn; then the other connections have theirs.
const READS: usize = 4;

/// What routers have said during one handshake, at most.
const ROUTERS: usize = 16;
/// After this long a handshake is slow enough to look whether this host itself keeps its SYNs from going out; the first
/// retransmission comes after a second.
const SLOW: Duration = Duration::from_millis(500);

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Open,
    /// Nothing more will come of it.
    Over,
}

/// What a connection brought.
#[derive(Debug)]
pub(super) enum Brought {
    /// A probe of which every byte is right, when it was read, and when the kernel saw its last segment come.
    Whole {
        flight: Option<Flight>,
        seq: u64,
        missed: bool,
        at: Instant,
        came: Option<Duration>,
    },
    Damaged {
        seq: u64,
        known: bool,
        missed: bool,
        at: usize,
    },
    Foreign(usize),
}

#[derive(Debug)]
pub(super) struct Link {
    fd: OwnedFd,
    pub(super) peer: SocketAddr,
    pub(super) local: Option<SocketAddr>,
    /// The handshake's time, once there was one.
    pub(super) connect_time: Duration,
    /// What was tried before.
    pub(super) failures: Vec<Attempt>,
    /// Whether the kernel's stamps are on, or why not.
    pub(super) stamps: Result<bool, Errno>,
    /// An answer came over it.
    pub(super) has_answered: bool,
    addrs: VecDeque<SocketAddr>,
    stage: Stage,
    /// When the stage began; the end keeps that of the stage before.
    since: Instant,
    /// There may be something to do: poll said so, or it is new.
    ready: bool,
    flights: Flights,
    /// What is being sent, and how much of it is.
    sending: Option<(u64, usize)>,
    buffer: Vec<u8>,
    written: u64,
    returned: u64,
    received: u64,
    checker: Checker,
    run: Run,
    retransmits: u32,
    /// What routers have said so far.
    routers: Vec<QueuedError>,
    /// The handshake was found slow; and the retransmissions that this host could not send until then.
    slow: bool,
    unsendable: Option<u64>,
    user_timeout: Duration,
    host: Rc<Host>,
}

impl Link {
    /// Begins to connect to the first of these addresses that does not fail at once.
    pub(super) fn open(
        addrs: impl IntoIterator<Item = SocketAddr>,
        way: &Way,
        run: Run,
        size: usize,
        now: Instant,
    ) -> Result<Self, Vec<Attempt>> {
        let (mut addrs, mut failures) = (addrs.into_iter().collect::<VecDeque<_>>(), Vec::new());
        let (fd, peer) = next_address(&mut addrs, &mut failures, way).ok_or(failures.clone())?;
        Ok(Link {
            fd,
            peer,
            local: None,
            connect_time: Duration::ZERO,
            failures,
            stamps: Ok(false),
            has_answered: false,
            addrs,
            stage: Stage::Connecting,
            since: now,
            ready: true,
            flights: Flights::default(),
            sending: None,
            buffer: vec![0; size],
            written: 0,
            returned: 0,
            received: 0,
            checker: Checker::new(run, size),
            run,
            retransmits: 0,
            routers: Vec::new(),
            slow: false,
            unsendable: None,
            user_timeout: way.user_timeout(),
            host: Rc::clone(&way.host),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// When the attempt will have taken long, and then too long.
    pub(super) fn patience_ends(&self, way: &Way) -> Option<Instant> {
        let limit = if self.slow { way.timeout } else { way.timeout.min(SLOW) };
        self.since.checked_add(limit).filter(|_| self.stage == Stage::Connecting)
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        match self.stage {
            Stage::Connecting => PollFlags::OUT,
            Stage::Open if self.has_something_to_send() => PollFlags::IN | PollFlags::OUT,
            Stage::Open => PollFlags::IN,
            Stage::Over => PollFlags::empty(),
        }
    }

    /// Poll has something to say about it.
    pub(super) fn note_ready(&mut self) {
        self.ready = true;
    }

    /// Whether that has been said since the last time this was asked.
    pub(super) fn take_ready(&mut self) -> bool {
        std::mem::take(&mut self.ready)
    }

    /// The handshake has ended, or its time has. True when it is connected; an error when no address is left.
    pub(super) fn proceed(&mut self, way: &Way, now: Instant) -> Result<bool, Vec<Attempt>> {
        if self.stage != Stage::Connecting {
            return Ok(self.is_open());
        }
        let elapsed = now.saturating_duration_since(self.since);
        let mut evidence = Evidence::default();
        let outcome = match self.outcome() {
            Some(outcome) => outcome,
            None if elapsed >= way.timeout => {
                evidence.deadline = Some(way.timeout);
                Err(out_of_patience(self.peer, elapsed))
            }
            None => {
                if elapsed >= SLOW && !self.slow {
                    (self.slow, self.unsendable) = (true, failed_retransmissions());
                }
                return Ok(false);
            }
        };
        match outcome {
            Ok(local) => {
                (self.stage, self.since) = (Stage::Open, now);
                (self.local, self.connect_time) = (Some(local), elapsed);
                self.furnish(way);
                Ok(true)
            }
            Err(error) => {
                self.note_handshake_in(&mut evidence);
                let fd = Some(self.fd.as_fd());
                let failure = way.failure(fd, self.peer, error, elapsed, evidence);
                self.failures.push(failure);
                match next_address(&mut self.addrs, &mut self.failures, way) {
                    Some((fd, peer)) => {
                        (self.fd, self.peer) = (fd, peer);
                        (self.since, self.ready, self.slow) = (now, true, false);
                        Ok(false)
                    }
                    None => Err(std::mem::take(&mut self.failures)),
                }
            }
        }
    }

    /// What is known of the handshake besides what the socket and the host tell.
    fn note_handshake_in(&mut self, evidence: &mut Evidence) {
        evidence.routers = std::mem::take(&mut self.routers);
        evidence.tried = self.failures.iter().map(Tried::of).collect();
        let then = self.unsendable.take();
        let now = then.and_then(|_| failed_retransmissions());
        evidence.own_drops = then.zip(now).map(|(then, now)| now.saturating_sub(then));
    }

    /// None while the handshake is under way.
    fn outcome(&mut self) -> Option<Result<SocketAddr, Error>> {
        if !self.take_ready() {
            return None;
        }
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
        tcp_info(&self.fd).is_ok_and(|info| info.state == tcpecho_os::tcp_info::TcpState::Close)
    }

    /// Options that can be set only now.
    fn furnish(&mut self, way: &Way) {
        let _ = set_receive_errors(&self.fd, false);
        if way.stamps {
            self.stamps = timestamping::enable(&self.fd).map(|()| true);
        }
        let limit = way.user_timeout().as_millis();
        let _ = sockopt::set_tcp_user_timeout(&self.fd, u32::try_from(limit).unwrap_or(u32::MAX));
    }

    /// A probe is due.
    pub(super) fn add(&mut self, stamp: Stamp, due: Instant) {
        self.flights.add(stamp, due);
    }

    /// Probes under way.
    pub(super) fn under_way(&self) -> usize {
        self.flights.under_way()
    }

    /// When the oldest of them was due.
    pub(super) fn oldest_due(&self) -> Option<Instant> {
        self.flights.oldest_due()
    }

    /// The oldest, if it was due at `limit` or before; from now on it is missed.
    pub(super) fn miss(&mut self, limit: Instant) -> Option<Flight> {
        let begun = self.sending.map(|(seq, _)| seq);
        self.flights.miss(limit, begun)
    }

    /// All that were under way.
    pub(super) fn take_under_way(&mut self) -> VecDeque<Flight> {
        self.flights.take_under_way()
    }

    fn has_something_to_send(&self) -> bool {
        self.sending.is_some() || self.flights.next_unsent().is_some()
    }

    /// Sends what is due, as far as the socket takes it.
    pub(super) fn send(&mut self) -> Result<(), Broken> {
        if !self.is_open() {
            return Ok(());
        }
        loop {
            let (seq, offset) = if let Some(sending) = self.sending {
                sending
            } else {
                let Some(stamp) = self.flights.next_unsent() else { return Ok(()) };
                self.run.write(stamp, &mut self.buffer);
                (stamp.seq, 0)
            };
            let rest = self.buffer.get(offset..).unwrap_or_default();
            match net::send(&self.fd, rest, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.written += count as u64;
                    let done = offset + count >= self.buffer.len();
                    self.sending = Some((seq, offset + count)).filter(|_| !done);
                    if done {
                        self.flights.note_sent(seq, Instant::now(), self.written);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Nothing of it went out: it can still be given up.
                    self.sending = Some((seq, offset)).filter(|_| offset > 0);
                    return Ok(());
                }
                Err(errno) => return Err(self.broken("send", Some(errno))),
            }
        }
    }

    /// Reads what has come. An error is the end of the connection; what it brought before stands in `brought`.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        brought: &mut Vec<Brought>,
    ) -> Result<(), Broken> {
        for _ in 0..READS {
            let read = self.read(buffer);
            let at = Instant::now();
            // Before what has come is judged: when it had left has been told by now.
            self.read_reports();
            let (count, came) = match read {
                Ok((0, _)) => {
                    brought.extend(self.checker.rest().and_then(foreign));
                    return Err(self.broken("recv", None));
                }
                Ok(read) => read,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(errno) => {
                    brought.extend(self.checker.rest().and_then(foreign));
                    return Err(self.broken("recv", Some(errno)));
                }
            };
            self.received += count as u64;
            let mut bytes = buffer.get(..count).unwrap_or_default();
            while let Some(found) = self.checker.next(&mut bytes, self.flights.expected()) {
                let next = self.bring(found, at, came);
                match (brought.last_mut(), &next) {
                    // However many there are, they are one thing.
                    (Some(Brought::Foreign(before)), Brought::Foreign(more)) => *before += more,
                    _ => brought.push(next),
                }
            }
            if count < buffer.len() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> Result<(usize, Option<Duration>), Errno> {
        match self.stamps {
            Ok(true) => timestamping::receive(&self.fd, buffer),
            _ => net::recv(&self.fd, buffer, net::RecvFlags::DONTWAIT).map(|(n, _)| (n, None)),
        }
    }

    fn bring(&mut self, found: Found, at: Instant, came: Option<Duration>) -> Brought {
        match found {
            Found::Whole(Stamp { seq, .. }) => {
                self.has_answered = true;
                let (flight, missed) = self.flights.settle(seq).unzip();
                if flight.is_some() {
                    self.returned += self.buffer.len() as u64;
                }
                Brought::Whole { flight, seq, missed: missed == Some(true), at, came }
            }
            Found::Damaged { seq, at } => {
                let missed = self.flights.settle(seq).map(|(_, missed)| missed);
                Brought::Damaged { seq, known: missed.is_some(), missed: missed == Some(true), at }
            }
            Found::Foreign(count) => Brought::Foreign(count),
        }
    }

    /// What the kernel says of what was sent. Always read to the end: while something is there, poll never waits.
    fn read_reports(&mut self) {
        if self.stamps != Ok(true) {
            return;
        }
        while let Ok(Some(report)) = timestamping::next_report(&self.fd) {
            self.flights.note_report(report);
        }
    }

    /// TCP_INFO, and retransmissions since this was last asked.
    pub(super) fn kernel(&mut self) -> Option<Kernel> {
        let info = self.info()?;
        let before = std::mem::replace(&mut self.retransmits, info.total_retrans);
        let min = info.min_rtt_us.filter(|&us| us != u32::MAX);
        Some(Kernel {
            srtt: Duration::from_micros(info.rtt_us.into()),
            min_rtt: min.map(|us| Duration::from_micros(us.into())),
            retransmits: info.total_retrans.wrapping_sub(before),
        })
    }

    pub(super) fn info(&self) -> Option<TcpInfo> {
        tcp_info(&self.fd).ok()
    }

    /// Whether the peer's kernel has acknowledged this probe, as far as the send queue tells.
    pub(super) fn has_acknowledged(&self, flight: &Flight) -> Option<bool> {
        flight.sent?;
        let queued = tcpecho_os::socket::unsent(&self.fd).ok()?;
        Some(self.written.saturating_sub(queued.into()) >= flight.end())
    }

    /// The socket has nothing more to say: all that came is read, and something ended it.
    pub(super) fn broken(&mut self, op: &'static str, errno: Option<Errno>) -> Broken {
        let lasted = self.since.elapsed();
        self.stage = Stage::Over;
        let failed = |errno| Symptom::Error(Error::at(op, self.peer, errno));
        let symptom = errno.map_or(Symptom::EndOfFile, failed);
        let begun = self.sending.map_or(0, |(_, offset)| offset);
        let unsent = (self.flights.unsent() * self.buffer.len()).saturating_sub(begun);
        let mut evidence = Evidence {
            phase: Phase::of_call(op),
            elapsed: lasted,
            written: self.written,
            unsent: unsent as u64,
            returned: self.returned,
            received: self.received,
            echo: true,
            user_timeout: Some(self.user_timeout),
            ..Evidence::default()
        };
        evidence.ask_socket(self.fd.as_fd());
        self.host.tell(&mut evidence, self.peer, errno);
        let diagnosis = Box::new(Diagnosis::of(&symptom, &evidence));
        Broken { peer: self.peer, diagnosis, op, errno, lasted }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn foreign(found: Found) -> Option<Brought> {
    match found {
        Found::Foreign(count) => Some(Brought::Foreign(count)),
        _ => None,
    }
}
