//! A connection, made and used without blocking: its probes under way, and what the kernel reports of them.

mod flights;
mod options;

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
    internal::{ask_host, ask_socket},
};
use tcpecho_os::{
    tcp_info::{TcpInfo, tcp_info},
    timestamping,
};

use self::flights::Flights;
pub(crate) use self::{flights::Flight, options::LinkOptions};
use super::{
    check::{Checker, Found},
    event::{Broken, Kernel},
    payload::{Run, Stamp},
};

/// Bytes of a probe written and sent at a time.
const PIECE: usize = 64 << 10;
/// Every peer takes a segment of this size (RFC 9293 3.7.1: the default MSS of IPv4).
const SURELY_ONE_SEGMENT: usize = 536;
/// Bytes sent in one turn, about.
const TURN: usize = 1 << 20;

/// The state of the connection.
#[derive(Debug)]
enum Stage {
    Connecting(Box<HappyEyeballs<'static>>),
    /// Connected at once, and not reported yet.
    Connected(Connection),
    Open(OwnedFd),
    /// Ended; the socket is still open for what it reports.
    Over(OwnedFd),
    /// There was no connection.
    Failed,
}

/// Something that a connection received.
#[derive(Debug)]
pub(crate) enum Received {
    /// A whole probe, when it was read, and when the kernel received its last segment.
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
        alike: usize,
    },
    Foreign(usize),
}

#[derive(Debug)]
pub(crate) struct Link {
    stage: Stage,
    /// The address connected to; while connecting, the first that is tried.
    pub(crate) peer: SocketAddr,
    pub(crate) local: Option<SocketAddr>,
    /// How long the handshake took, and whether this process was paused during it.
    pub(crate) connect_time: Duration,
    pub(crate) paused: bool,
    /// Attempts at other addresses that failed.
    pub(crate) failures: Vec<Attempt>,
    /// Whether the kernel's timestamps are on, or why not.
    pub(crate) stamps: Result<bool, Errno>,
    /// It has received an answer.
    pub(crate) has_answered: bool,
    /// When it was connected, and when a byte was last sent or received.
    since: Instant,
    moved: Instant,
    /// There may be something to read: poll(2) reported it, or the connection is new.
    ready: bool,
    flights: Flights,
    size: usize,
    /// The probe being sent, and how many bytes of it are.
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
    /// Starts to connect to one of these addresses. Fails if all of them fail at once.
    pub(crate) fn open(
        addrs: Vec<SocketAddr>,
        options: &LinkOptions,
        run: Run,
        size: usize,
        now: Instant,
    ) -> Result<Self, Vec<Attempt>> {
        let peer = *addrs.first().ok_or_else(Vec::new)?;
        let stage = match HappyEyeballs::new(addrs, options.connect.clone()).on_ready(now) {
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
            user_timeout: options.user_timeout,
            facts: Arc::clone(&options.facts),
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    pub(crate) fn is_connecting(&self) -> bool {
        matches!(self.stage, Stage::Connecting(_) | Stage::Connected(_))
    }

    /// Returns when to continue the handshakes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Connecting(attempts) => attempts.deadline(),
            Stage::Connected(_) => Some(self.since),
            _ => None,
        }
    }

    /// Returns what to poll.
    pub(crate) fn watched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
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

    /// Takes what poll(2) reported of [`Link::watched`], in that order.
    pub(crate) fn note_ready(&mut self, ready: &mut impl Iterator<Item = bool>) {
        let count = self.watched().count();
        let ready = ready.by_ref().take(count).fold(false, |any, ready| any | ready);
        self.ready |= ready;
    }

    /// Makes the next read happen without poll(2).
    pub(crate) fn look_again(&mut self) {
        self.ready = true;
    }

    /// Returns whether there may be something to read.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready && self.is_open()
    }

    /// Discounts a pause of this process.
    pub(crate) fn postpone(&mut self, span: Duration) {
        self.flights.postpone(span);
        if let Stage::Connecting(attempts) = &mut self.stage {
            attempts.postpone(span);
            self.paused = true;
        }
    }

    /// Continues the handshakes. Returns whether it is connected, and fails if no address is left.
    pub(crate) fn proceed(
        &mut self,
        options: &LinkOptions,
        now: Instant,
    ) -> Result<bool, Vec<Attempt>> {
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
                if options.stamps {
                    self.stamps = timestamping::enable(&connection).map(|()| true);
                }
                self.stage = Stage::Open(connection.into());
                Ok(true)
            }
        }
    }

    /// Ends the attempts to connect.
    pub(crate) fn give_up(&mut self, now: Instant) -> Vec<Attempt> {
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Connecting(attempts) => attempts.give_up(now).attempts,
            _ => Vec::new(),
        }
    }

    /// Returns the socket, once connected.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.stage {
            Stage::Open(fd) | Stage::Over(fd) => Some(fd.as_fd()),
            Stage::Connecting(_) | Stage::Connected(_) | Stage::Failed => None,
        }
    }

    /// Adds a probe to send.
    pub(crate) fn add(&mut self, stamp: Stamp, due: Instant) {
        self.flights.add(stamp, due);
    }

    /// Returns how many probes are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.flights.under_way()
    }

    /// Returns the oldest probe under way.
    pub(crate) fn oldest(&self) -> Option<&Flight> {
        self.flights.oldest()
    }

    /// Gives up the oldest probe under way. A late answer is still recognized.
    pub(crate) fn miss(&mut self) -> Option<Flight> {
        let begun = self.sending.map(|(stamp, _)| stamp.seq);
        self.flights.miss(begun)
    }

    /// Takes all probes that are under way.
    pub(crate) fn take_under_way(&mut self) -> VecDeque<Flight> {
        self.flights.take_under_way()
    }

    fn has_something_to_send(&self) -> bool {
        self.sending.is_some() || self.flights.next_unsent().is_some()
    }

    /// Sends what is due, as far as the socket takes it and for about one turn.
    pub(crate) fn send(&mut self) -> Result<(), Broken> {
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
                    // If nothing of it was sent, it can still be given up.
                    self.sending = Some((stamp, offset)).filter(|_| offset > 0);
                    return Ok(());
                }
                Err(errno) => return Err(self.broken("send", Some(errno))),
            }
        }
        Ok(())
    }

    /// Returns the size of the first send(2) of a probe: one segment. The kernel reports when the last byte of a call leaves,
    /// and the round trip begins with the first byte of the probe.
    fn first_piece(&self, fd: &OwnedFd) -> usize {
        if self.size <= SURELY_ONE_SEGMENT || self.stamps != Ok(true) {
            return PIECE;
        }
        let segment = tcp_info(fd).map_or(PIECE, |info| info.snd_mss as usize);
        segment.clamp(SURELY_ONE_SEGMENT, PIECE)
    }

    /// Reads what has come, `reads` times at most, into `arrived`. An error is the end of the connection.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        arrived: &mut Vec<Received>,
        reads: &mut usize,
    ) -> Result<(), Broken> {
        while *reads > 0 {
            *reads -= 1;
            // A connection that has ended may still have something to read.
            let (Stage::Open(fd) | Stage::Over(fd)) = &self.stage else { return Ok(()) };
            let read = match self.stamps {
                Ok(true) => timestamping::receive(fd, buffer),
                _ => net::recv(fd, &mut *buffer, net::RecvFlags::DONTWAIT).map(|(n, _)| (n, None)),
            };
            let at = Instant::now();
            // First: the kernel has reported by now when the probes left.
            self.read_reports();
            let (count, came) = match read {
                Ok((0, _)) => {
                    arrived.extend(self.rest());
                    return Err(self.broken("recv", None));
                }
                Ok(read) => read,
                Err(Errno::AGAIN) => {
                    self.ready = false;
                    return Ok(());
                }
                Err(Errno::INTR) => continue,
                Err(errno) => {
                    arrived.extend(self.rest());
                    return Err(self.broken("recv", Some(errno)));
                }
            };
            self.received += count as u64;
            self.moved = at;
            let mut bytes = buffer.get(..count).unwrap_or_default();
            while let Some(found) = self.checker.next(&mut bytes, self.flights.expected()) {
                let next = self.classify(found, at, came);
                match (arrived.last_mut(), &next) {
                    // Foreign bytes in a row are one event.
                    (Some(Received::Foreign(before)), Received::Foreign(more)) => *before += more,
                    _ => arrived.push(next),
                }
            }
            if count < buffer.len() {
                self.ready = false;
                return Ok(());
            }
        }
        Ok(())
    }

    fn classify(&mut self, found: Found, at: Instant, came: Option<Duration>) -> Received {
        match found {
            Found::Whole(Stamp { seq, .. }) => {
                self.has_answered = true;
                let (flight, missed) = self.flights.settle(seq).unzip();
                if flight.is_some() {
                    self.returned += self.size as u64;
                }
                Received::Whole { flight, seq, missed: missed == Some(true), at, came }
            }
            Found::Damaged { seq, at, alike } => {
                let missed = self.flights.settle(seq).map(|(_, missed)| missed);
                let known = missed.is_some();
                if known {
                    self.returned += alike as u64;
                }
                Received::Damaged { seq, known, missed: missed == Some(true), at, alike }
            }
            Found::Foreign(count) => Received::Foreign(count),
        }
    }

    /// Reads the kernel's timestamps of what was sent, all of them: poll(2) never waits while there are some.
    fn read_reports(&mut self) {
        let (Stage::Open(fd) | Stage::Over(fd)) = &self.stage else { return };
        if self.stamps != Ok(true) {
            return;
        }
        while let Ok(Some(report)) = timestamping::next_report(fd) {
            self.flights.note_report(report);
        }
    }

    /// Returns values of TCP_INFO, with the retransmissions since the last call.
    pub(crate) fn kernel(&mut self) -> Option<Kernel> {
        let info = self.info()?;
        let before = std::mem::replace(&mut self.retransmits, info.total_retrans);
        let min = info.min_rtt_us.filter(|&us| us != u32::MAX);
        Some(Kernel {
            srtt: Duration::from_micros(info.rtt_us.into()),
            min_rtt: min.map(|us| Duration::from_micros(us.into())),
            retransmits: info.total_retrans.wrapping_sub(before),
        })
    }

    pub(crate) fn info(&self) -> Option<TcpInfo> {
        tcp_info(self.fd()?).ok()
    }

    /// Returns whether the peer's kernel has acknowledged a probe, from the size of the send queue.
    pub(crate) fn has_acknowledged(&self, flight: &Flight) -> Option<bool> {
        flight.sent?;
        let queued = tcpecho_os::socket::unsent(self.fd()?).ok()?;
        Some(self.written.saturating_sub(queued.into()) >= flight.end())
    }

    /// Ends the connection, and diagnoses why.
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

    /// Diagnoses that nothing comes back.
    pub(crate) fn silence(&self, now: Instant) -> Diagnosis {
        let waited = now.saturating_duration_since(self.moved);
        self.diagnose("recv", &Symptom::Silence(waited), None)
    }

    /// Returns how many bytes of the answer to this probe have come, if it is not complete.
    pub(crate) fn incomplete(&self, seq: u64) -> usize {
        let incomplete = self.checker.incomplete(self.flights.expected());
        incomplete.filter(|(of, _)| *of == seq).map_or(0, |(_, count)| count)
    }

    /// Returns the bytes that cannot become an answer any more, since nothing more is read.
    pub(crate) fn rest(&mut self) -> Option<Received> {
        self.checker.rest().and_then(foreign)
    }

    fn diagnose(&self, op: &'static str, symptom: &Symptom, errno: Option<Errno>) -> Diagnosis {
        let begun = self.sending.map_or(0, |(_, offset)| offset);
        let incomplete = self.checker.incomplete(self.flights.expected());
        let unsent = (self.flights.unsent() * self.size).saturating_sub(begun);
        let mut evidence = Evidence::new(Phase::of_call(op));
        evidence.elapsed = self.since.elapsed();
        evidence.peer = Some(self.peer);
        evidence.written = self.written;
        evidence.unsent = unsent as u64;
        evidence.returned = self.returned + incomplete.map_or(0, |(_, count)| count as u64);
        evidence.partial_answer = incomplete.is_some();
        evidence.received = self.received;
        evidence.echo = true;
        evidence.user_timeout = Some(self.user_timeout);
        if let Some(fd) = self.fd() {
            ask_socket(&mut evidence, fd);
        }
        ask_host(&mut evidence, self.peer, errno, Some(&self.facts));
        Diagnosis::of(symptom, &evidence)
    }
}

fn foreign(found: Found) -> Option<Received> {
    match found {
        Found::Foreign(count) => Some(Received::Foreign(count)),
        _ => None,
    }
}
