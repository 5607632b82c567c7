//! One connection, made and used without blocking: its probes under way, and what the kernel says of them.

mod flights;
mod way;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{self, SendFlags},
};
use tcpecho::{
    Attempt, Connection, Diagnosis, Error, Evidence, HappyEyeballs, HostFacts, Phase, Progress,
    Symptom,
};
use tcpecho_os::{
    tcp_info::{TcpInfo, tcp_info},
    timestamping,
};

use self::flights::Flights;
pub(super) use self::{flights::Flight, way::Way};
use super::{
    check::{Checker, Found},
    event::{Broken, Kernel},
    probe::{Run, Stamp},
};

/// Bytes that are made at once to be sent.
const PIECE: usize = 64 << 10;
/// No segment that is not the last has to be smaller (RFC 9293 3.7.1: the MSS of IPv4 without any option).
const SURELY_ONE_SEGMENT: usize = 536;
/// Bytes that are sent in one turn, about; then the other connections have theirs.
const TURN: usize = 1 << 20;

/// How far it is.
#[derive(Debug)]
enum Stage {
    Connecting(Box<HappyEyeballs<'static>>),
    /// Connected at once, and not told yet.
    Connected(Connection),
    Open(OwnedFd),
    /// Nothing more will come of it.
    Over(OwnedFd),
    /// There never was a connection.
    Failed,
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
    stage: Stage,
    /// The address connected to; before, the first that is tried.
    pub(super) peer: SocketAddr,
    pub(super) local: Option<SocketAddr>,
    /// The handshake's time, once there was one; and whether this program was stopped during it.
    pub(super) connect_time: Duration,
    pub(super) paused: bool,
    /// What was tried before.
    pub(super) failures: Vec<Attempt>,
    /// Whether the kernel's stamps are on, or why not.
    pub(super) stamps: Result<bool, Errno>,
    /// An answer came over it.
    pub(super) has_answered: bool,
    /// When it was connected, and when a byte last moved.
    since: Instant,
    moved: Instant,
    /// There may be something to do: poll said so, or it is new.
    ready: bool,
    flights: Flights,
    size: usize,
    /// What is being sent, and how much of it is.
    sending: Option<(Stamp, usize)>,
    piece: Vec<u8>,
    written: u64,
    returned: u64,
    received: u64,
    checker: Checker,
    run: Run,
    retransmits: u32,
    user_timeout: Duration,
    facts: Arc<HostFacts>,
}

impl Link {
    /// Begins to connect to one of these addresses; an error where all of them fail at once.
    pub(super) fn open(
        addrs: Vec<SocketAddr>,
        way: &Way,
        run: Run,
        size: usize,
        now: Instant,
    ) -> Result<Self, Vec<Attempt>> {
        let peer = *addrs.first().ok_or_else(Vec::new)?;
        let stage = match HappyEyeballs::new(addrs, way.options.clone()).on_ready(now) {
            Progress::Pending(attempts) => Stage::Connecting(Box::new(attempts)),
            Progress::Connected(connection) => Stage::Connected(connection),
            Progress::Failed(failures) => return Err(failures.attempts),
        };
        Ok(Link {
            stage,
            peer,
            local: None,
            connect_time: Duration::ZERO,
            paused: false,
            failures: Vec::new(),
            stamps: Ok(false),
            has_answered: false,
            since: now,
            moved: now,
            ready: true,
            flights: Flights::default(),
            size,
            sending: None,
            piece: Vec::new(),
            written: 0,
            returned: 0,
            received: 0,
            checker: Checker::new(run, size),
            run,
            retransmits: 0,
            user_timeout: way.options.user_timeout.unwrap_or_default(),
            facts: Arc::clone(&way.facts),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.stage, Stage::Connecting(_) | Stage::Connected(_))
    }

    /// When the attempts to connect have to be looked at.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Connecting(attempts) => attempts.deadline(),
            Stage::Connected(_) => Some(self.since),
            _ => None,
        }
    }

    /// What to wait for.
    pub(super) fn watched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let (attempts, open) = match &self.stage {
            Stage::Connecting(attempts) => (Some(attempts), None),
            Stage::Open(fd) => (None, Some(fd.as_fd())),
            Stage::Connected(_) | Stage::Over(_) | Stage::Failed => (None, None),
        };
        let also = self.has_something_to_send().then_some(PollFlags::OUT);
        let flags = PollFlags::IN | also.unwrap_or(PollFlags::empty());
        let attempts = attempts.into_iter().flat_map(|attempts| attempts.fds());
        let attempts = attempts.map(|fd| (fd, PollFlags::OUT));
        attempts.chain(open.map(|fd| (fd, flags)))
    }

    /// What poll said of those, in their order: it takes as many as there are.
    pub(super) fn note_ready(&mut self, ready: &mut impl Iterator<Item = bool>) {
        let count = self.watched().count();
        let ready = ready.by_ref().take(count).fold(false, |any, ready| any | ready);
        self.ready |= ready;
    }

    /// Something may have come, although poll has not said so yet.
    pub(super) fn look_again(&mut self) {
        self.ready = true;
    }

    /// Whether it has something to bring.
    pub(super) fn is_ready(&self) -> bool {
        self.ready && self.is_open()
    }

    /// This program did not run for so long: that time is nobody else's.
    pub(super) fn postpone(&mut self, span: Duration) {
        self.flights.postpone(span);
        if let Stage::Connecting(attempts) = &mut self.stage {
            attempts.postpone(span);
            self.paused = true;
        }
    }

    /// True when it is connected; an error when no address is left.
    pub(super) fn proceed(&mut self, way: &Way, now: Instant) -> Result<bool, Vec<Attempt>> {
        if !self.is_connecting() {
            return Ok(self.is_open());
        }
        let progress = match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Connecting(attempts) => attempts.on_ready(now),
            Stage::Connected(connection) => Progress::Connected(connection),
            Stage::Open(_) | Stage::Over(_) | Stage::Failed => return Ok(false),
        };
        match progress {
            Progress::Pending(attempts) => {
                self.stage = Stage::Connecting(Box::new(attempts));
                Ok(false)
            }
            Progress::Failed(failures) => Err(failures.attempts),
            Progress::Connected(mut connection) => {
                (self.peer, self.local) = (connection.peer, Some(connection.local));
                self.connect_time = connection.connect_time;
                self.failures = std::mem::take(&mut connection.failed);
                (self.since, self.moved, self.ready) = (now, now, true);
                if way.stamps {
                    self.stamps = timestamping::enable(&connection).map(|()| true);
                }
                self.stage = Stage::Open(connection.into());
                Ok(true)
            }
        }
    }

    /// No address is waited for any longer.
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<Attempt> {
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Connecting(attempts) => attempts.give_up(now).attempts,
            _ => Vec::new(),
        }
    }

    /// The socket, once connected.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.stage {
            Stage::Open(fd) | Stage::Over(fd) => Some(fd.as_fd()),
            Stage::Connecting(_) | Stage::Connected(_) | Stage::Failed => None,
        }
    }

    /// A probe is due.
    pub(super) fn add(&mut self, stamp: Stamp, due: Instant) {
        self.flights.add(stamp, due);
    }

    /// Probes under way.
    pub(super) fn under_way(&self) -> usize {
        self.flights.under_way()
    }

    /// The oldest of them.
    pub(super) fn oldest(&self) -> Option<&Flight> {
        self.flights.oldest()
    }

    /// The same; from now on it is missed.
    pub(super) fn miss(&mut self) -> Option<Flight> {
        let begun = self.sending.map(|(stamp, _)| stamp.seq);
        self.flights.miss(begun)
    }

    /// All that were under way.
    pub(super) fn take_under_way(&mut self) -> VecDeque<Flight> {
        self.flights.take_under_way()
    }

    fn has_something_to_send(&self) -> bool {
        self.sending.is_some() || self.flights.next_unsent().is_some()
    }

    /// Sends what is due, as far as the socket takes it, or about a turn of it.
    pub(super) fn send(&mut self) -> Result<(), Broken> {
        let Stage::Open(fd) = &self.stage else { return Ok(()) };
        let end = self.written.saturating_add(TURN as u64);
        while self.written < end {
            let (stamp, offset) = match self.sending {
                Some(sending) => sending,
                None => match self.flights.next_unsent() {
                    Some(stamp) => (stamp, 0),
                    None => return Ok(()),
                },
            };
            let most = if offset == 0 { self.first_piece(fd) } else { PIECE };
            self.piece.resize((self.size - offset).min(most), 0);
            self.run.write_part(stamp, self.size, offset, &mut self.piece);
            match net::send(fd, &self.piece, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.written += count as u64;
                    self.moved = Instant::now();
                    if offset == 0 {
                        self.flights.note_begun(stamp.seq, self.moved, self.written);
                    }
                    let done = offset + count >= self.size;
                    self.sending = Some((stamp, offset + count)).filter(|_| !done);
                    if done {
                        self.flights.note_sent(stamp.seq, self.moved, self.written);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Nothing of it went out: it can still be given up.
                    self.sending = Some((stamp, offset)).filter(|_| offset > 0);
                    return Ok(());
                }
                Err(errno) => return Err(self.broken("send", Some(errno))),
            }
        }
        Ok(())
    }

    /// How much of a probe the first call hands over. The kernel tells when the last byte of a call leaves, and the round trip
    /// begins with the first byte: so that is one segment, which is sent as it would be anyway.
    fn first_piece(&self, fd: &OwnedFd) -> usize {
        if self.size <= SURELY_ONE_SEGMENT || self.stamps != Ok(true) {
            return PIECE;
        }
        let segment = tcp_info(fd).map_or(PIECE, |info| info.snd_mss as usize);
        segment.clamp(SURELY_ONE_SEGMENT, PIECE)
    }

    /// Reads what has come, `reads` times at most. An error is the end of the connection; what it brought before stands
    /// in `brought`.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        brought: &mut Vec<Brought>,
        reads: &mut usize,
    ) -> Result<(), Broken> {
        while *reads > 0 {
            *reads -= 1;
            // Also of one that has ended: what it brought before may still be there.
            let (Stage::Open(fd) | Stage::Over(fd)) = &self.stage else { return Ok(()) };
            let read = match self.stamps {
                Ok(true) => timestamping::receive(fd, buffer),
                _ => net::recv(fd, &mut *buffer, net::RecvFlags::DONTWAIT).map(|(n, _)| (n, None)),
            };
            let at = Instant::now();
            // Before what has come is judged: when it had left has been told by now.
            self.read_reports();
            let (count, came) = match read {
                Ok((0, _)) => {
                    brought.extend(self.checker.rest().and_then(foreign));
                    return Err(self.broken("recv", None));
                }
                Ok(read) => read,
                Err(Errno::AGAIN) => {
                    self.ready = false;
                    return Ok(());
                }
                Err(Errno::INTR) => continue,
                Err(errno) => {
                    brought.extend(self.checker.rest().and_then(foreign));
                    return Err(self.broken("recv", Some(errno)));
                }
            };
            self.received += count as u64;
            self.moved = at;
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
                self.ready = false;
                return Ok(());
            }
        }
        Ok(())
    }

    fn bring(&mut self, found: Found, at: Instant, came: Option<Duration>) -> Brought {
        match found {
            Found::Whole(Stamp { seq, .. }) => {
                self.has_answered = true;
                let (flight, missed) = self.flights.settle(seq).unzip();
                if flight.is_some() {
                    self.returned += self.size as u64;
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
        let (Stage::Open(fd) | Stage::Over(fd)) = &self.stage else { return };
        if self.stamps != Ok(true) {
            return;
        }
        while let Ok(Some(report)) = timestamping::next_report(fd) {
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
        tcp_info(self.fd()?).ok()
    }

    /// Whether the peer's kernel has acknowledged this probe, as far as the send queue tells.
    pub(super) fn has_acknowledged(&self, flight: &Flight) -> Option<bool> {
        flight.sent?;
        let queued = tcpecho_os::socket::unsent(self.fd()?).ok()?;
        Some(self.written.saturating_sub(queued.into()) >= flight.end())
    }

    /// The socket has nothing more to say: all that came is read, and something ended it.
    fn broken(&mut self, op: &'static str, errno: Option<Errno>) -> Broken {
        let (lasted, peer) = (self.since.elapsed(), self.peer);
        let failed = |errno| Symptom::Error(Error::at(op, peer, errno));
        let symptom = errno.map_or(Symptom::EndOfFile, failed);
        let diagnosis = Box::new(self.diagnose(op, &symptom, errno));
        self.stage = match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Open(fd) => Stage::Over(fd),
            other => other,
        };
        Broken { peer, diagnosis, op, errno, lasted }
    }

    /// What it means that nothing comes back.
    pub(super) fn silence(&self, now: Instant) -> Diagnosis {
        let waited = now.saturating_duration_since(self.moved);
        self.diagnose("recv", &Symptom::Silence(waited), None)
    }

    fn diagnose(&self, op: &'static str, symptom: &Symptom, errno: Option<Errno>) -> Diagnosis {
        let begun = self.sending.map_or(0, |(_, offset)| offset);
        let unsent = (self.flights.unsent() * self.size).saturating_sub(begun);
        let mut evidence = Evidence {
            phase: Phase::of_call(op),
            elapsed: self.since.elapsed(),
            peer: Some(self.peer),
            written: self.written,
            unsent: unsent as u64,
            returned: self.returned,
            received: self.received,
            echo: true,
            user_timeout: Some(self.user_timeout),
            ..Evidence::default()
        };
        if let Some(fd) = self.fd() {
            evidence.ask_socket(fd);
        }
        self.facts.tell(&mut evidence, self.peer, errno);
        Diagnosis::of(symptom, &evidence)
    }
}

fn foreign(found: Found) -> Option<Brought> {
    match found {
        Found::Foreign(count) => Some(Brought::Foreign(count)),
        _ => None,
    }
}
