//! One thread's part of the load: its flows, what became of their connections, and the phases of the
//! run. The drivers below it move the bytes; whatever they see they tell it here.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, Shutdown, SocketFlags, SocketType, sockopt},
};
use tcpecho::{Ending, Error, words};
use tcpecho_os::tcp_info::tcp_info;

use super::{
    clock,
    driver::Driver,
    flow::{Flow, Manner, Mismatch},
    news::{Link, News, Schedule, Stop},
    tally::Tally,
    watch::Watch,
};

/// How long a flow whose connection broke waits before it makes another one.
const PAUSE: u64 = 100_000_000;
/// Connections of one thread that may be under way at a time, so that they fit into accept queues.
const CONNECTING: usize = 128;
/// How often connections are looked over for deadlines, at least.
const SCAN: u64 = 250_000_000;
/// A request due within this is waited for without sleeping: a sleep takes longer.
const SPIN: u64 = 30_000;

/// What becomes of a connection after its exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It goes on with the next.
    Stays,
    /// It is reset, so that no port stays in `TIME_WAIT`, and another one made.
    Resets,
    /// It is closed with FIN both ways, as programs do, and another one made.
    Closes,
}

/// What all threads of a run go by.
pub(super) struct Rules {
    pub(super) manner: Manner,
    pub(super) addr: SocketAddr,
    /// Addresses to connect from, taken in turn; none leaves it to the kernel.
    pub(super) sources: Vec<SocketAddr>,
    pub(super) after: After,
    /// Whether every connection makes one exchange when it is new and is silent from then on.
    pub(super) idle: bool,
    /// Connections a second and thread, while they are made at the start.
    pub(super) connect_rate: Option<f64>,
    /// No byte back for so long, though one is owed, ends a connection.
    pub(super) timeout: u64,
    /// How long the end may take: for answers that are under way, and then for the peers' FINs.
    pub(super) grace: u64,
    /// How often counts are handed in.
    pub(super) interval: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No socket.
    Absent,
    Connecting,
    Open,
    /// Our FIN is sent.
    Shut,
}

/// A flow and its present socket.
pub(super) struct Line {
    pub(super) flow: Flow,
    pub(super) stage: Stage,
    pub(super) socket: Option<OwnedFd>,
    /// When its present connection was begun.
    since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Running,
    Draining,
    Finishing,
}

/// What the kernel says of the connections at the end of the measured time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WireSums {
    pub(super) connections: u64,
    pub(super) rtt_us: u64,
    pub(super) min_rtt_us: Option<u32>,
    pub(super) retransmits: u64,
}

impl WireSums {
    pub(super) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.rtt_us += other.rtt_us;
        self.retransmits += other.retransmits;
        self.min_rtt_us = self.min_rtt_us.into_iter().chain(other.min_rtt_us).min();
    }

    fn note(&mut self, socket: impl AsFd) {
        let Ok(info) = tcp_info(socket) else { return };
        self.connections += 1;
        self.rtt_us += u64::from(info.rtt_us);
        self.retransmits += u64::from(info.total_retrans);
        let min = info.min_rtt_us.filter(|us| *us != u32::MAX);
        self.min_rtt_us = self.min_rtt_us.into_iter().chain(min).min();
    }
}

pub(super) struct Hand<'a> {
    pub(super) rules: &'a Rules,
    pub(super) lines: Vec<Line>,
    pub(super) tally: Tally,
    phase: Phase,
    schedule: Schedule,
    /// Messages that may still be begun.
    budget: u64,
    /// The next request of the schedule: which message of which line, and when.
    cursor: (u64, usize),
    next_due: u64,
    /// Lines that wait before they connect again, and until when.
    paused: VecDeque<(u64, usize)>,
    /// Lines that have a connection under way.
    connecting: usize,
    /// When anything last came back on any line.
    progress: u64,
    next_scan: u64,
    pub(super) stop: &'a Stop,
    wire: WireSums,
    /// Crr closes too fast to be asked at the end: one in so many is asked when it closes.
    closed: u64,
}

/// Runs one thread's part from the first connection to the last FIN.
pub(super) fn run(
    driver: &mut impl Driver,
    rules: &Rules,
    numbers: impl Iterator<Item = u64>,
    budget: u64,
    link: &Link,
    stop: &Stop,
) -> Result<(), Error> {
    let lines: Vec<Line> = numbers
        .map(|number| Line {
            flow: Flow::new(number, &rules.manner),
            stage: Stage::Absent,
            socket: None,
            since: 0,
        })
        .collect();
    let mut hand = Hand {
        rules,
        lines,
        tally: Tally::new(),
        phase: Phase::Connecting,
        schedule: Schedule::default(),
        budget: 0,
        cursor: (0, 0),
        next_due: u64::MAX,
        paused: VecDeque::new(),
        connecting: 0,
        progress: clock::now(),
        next_scan: 0,
        stop,
        wire: WireSums::default(),
        closed: 0,
    };
    if rules.after == After::Stays {
        hand.connect_all(driver)?;
    }
    link.tell(News::Connected { tally: Box::new(hand.tally.clone()) });
    let Some(schedule) = link.wait_for_go() else { return Ok(()) };
    hand.schedule = schedule;
    hand.measure(driver, budget, link)?;
    Ok(())
}

impl Hand<'_> {
    /// Makes the connections, no faster than asked for and than the accept queue can bear.
    fn connect_all(&mut self, driver: &mut impl Driver) -> Result<(), Error> {
        let start = clock::now();
        let mut made = 0;
        loop {
            let now = clock::now();
            let due = match self.rules.connect_rate {
                Some(rate) => ((now - start) as f64 / 1e9 * rate) as usize + 1,
                None => usize::MAX,
            };
            while made < self.lines.len().min(due) && self.connecting < CONNECTING {
                self.open(driver, made, clock::now());
                made += 1;
            }
            let settled = made == self.lines.len()
                && self.connecting == 0
                && !(self.rules.idle && self.lines.iter().any(|line| line.flow.waits()));
            if settled || self.stop.is_set() {
                return Ok(());
            }
            self.scan(driver, now);
            let next = match self.rules.connect_rate {
                Some(rate) if made < self.lines.len() => start + (made as f64 * 1e9 / rate) as u64,
                _ => now + SCAN,
            };
            driver.turn(self, next.min(now + SCAN))?;
        }
    }

    /// The run itself: warm-up, measured time, the answers under way, the FINs.
    fn measure(&mut self, driver: &mut impl Driver, budget: u64, link: &Link) -> Result<(), Error> {
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        self.wait_for_start(driver)?;
        self.phase = Phase::Running;
        self.budget = if self.rules.idle { 0 } else { budget };
        self.progress = clock::now();
        self.set_next_due();
        self.start_all(driver);
        let mut watch = Watch::start();
        let mut boundary = self.schedule.measure;
        let (mut measuring, mut from) = (false, 0);
        loop {
            let now = clock::now();
            let end = now >= self.schedule.end || self.is_over(now);
            if now >= boundary || end {
                let tally = Box::new(std::mem::replace(&mut self.tally, Tally::new()));
                if measuring {
                    link.tell(News::Interval { at: now, tally });
                } else {
                    (watch, from) = (Watch::start(), now);
                }
                measuring = true;
                boundary = (boundary + self.rules.interval).max(now + 1).min(self.schedule.end);
            }
            if end {
                break;
            }
            self.fire(driver, now);
            self.retry(driver, now);
            self.scan(driver, now);
            let until = self.next_moment(now, boundary);
            driver.turn(self, until)?;
        }
        let to = clock::now();
        let client = watch.stop();
        let open = self.open_lines();
        self.fire(driver, to);
        self.finish(driver, link, to.min(self.schedule.end))?;
        let tail = Box::new(std::mem::replace(&mut self.tally, Tally::new()));
        link.tell(News::Done { tail, wire: self.wire, client, open, window: to - from });
        Ok(())
    }

    fn open_lines(&self) -> u64 {
        self.lines.iter().filter(|line| line.stage != Stage::Absent).count() as u64
    }

    fn wait_for_start(&mut self, driver: &mut impl Driver) -> Result<(), Error> {
        loop {
            let now = clock::now();
            if now >= self.schedule.base || self.stop.is_set() {
                return Ok(());
            }
            driver.turn(self, self.schedule.base)?;
        }
    }

    /// Whether there is nothing more to do before the time is up.
    fn is_over(&self, now: u64) -> bool {
        if self.stop.is_set() {
            return true;
        }
        if self.budget == 0 && !self.rules.idle {
            return !self.lines.iter().any(|line| line.flow.waits());
        }
        self.has_stalled(now)
    }

    /// Whether nothing at all has come back for so long, though something is owed, that every
    /// connection and the one after it have been given up.
    fn has_stalled(&self, now: u64) -> bool {
        now.saturating_sub(self.progress) > self.rules.timeout.saturating_mul(2) + PAUSE
            && self.lines.iter().any(|line| line.flow.waits() || line.stage != Stage::Open)
            && !self.rules.idle
            && (self.rules.manner.pace.is_none()
                || self.lines.iter().any(|line| line.flow.due > line.flow.answered))
    }

    fn next_moment(&self, now: u64, boundary: u64) -> u64 {
        let retry = self.paused.front().map_or(u64::MAX, |(until, _)| *until);
        let next = boundary.min(self.schedule.end).min(retry).min(self.next_scan);
        // What is due next may not be due before the answers of others have been seen to.
        let due = if self.next_due <= now + SPIN { now } else { self.next_due };
        next.min(due)
    }

    fn start_all(&mut self, driver: &mut impl Driver) {
        for index in 0..self.lines.len() {
            self.advance(driver, index, clock::now());
        }
    }

    fn set_next_due(&mut self) {
        let (message, index) = self.cursor;
        let due =
            self.lines.get(index).and_then(|line| self.rules.manner.due(line.flow.number, message));
        self.next_due = due.map_or(u64::MAX, |due| self.schedule.base.saturating_add(due));
    }

    /// Lets every line know of the requests that have become due.
    fn fire(&mut self, driver: &mut impl Driver, now: u64) {
        while self.next_due <= now && self.next_due < self.schedule.end {
            let index = self.cursor.1;
            self.tally.note_late(now - self.next_due);
            self.lines[index].flow.due += 1;
            self.cursor.1 += 1;
            if self.cursor.1 == self.lines.len() {
                self.cursor = (self.cursor.0 + 1, 0);
            }
            self.set_next_due();
            self.advance(driver, index, clock::now());
        }
    }

    /// Begins and sends what the line may.
    pub(super) fn advance(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        // What was due in time may still be sent when the time is over.
        let late = self.phase == Phase::Draining && self.rules.manner.pace.is_some();
        if self.phase != Phase::Running && !late {
            return;
        }
        let line = &mut self.lines[index];
        match line.stage {
            Stage::Open => {
                line.flow.begin(&self.rules.manner, now, &mut self.budget);
                if line.flow.ready(&self.rules.manner) > 0 {
                    driver.push(self, index, now);
                }
            }
            Stage::Absent if self.rules.after != After::Stays && driver.is_free(index) => {
                if self.paused.iter().any(|(_, other)| *other == index) {
                    return;
                }
                let before = line.flow.begun;
                line.flow.begin(&self.rules.manner, now, &mut self.budget);
                if line.flow.begun > before {
                    self.open(driver, index, now);
                }
            }
            _ => {}
        }
    }

    /// Whether the line has anything to send, as far as it has been begun.
    pub(super) fn ready(&self, index: usize) -> usize {
        let line = &self.lines[index];
        let stream = self.rules.manner.depth.is_none();
        match line.stage {
            Stage::Open if !stream || self.phase == Phase::Running => {
                line.flow.ready(&self.rules.manner)
            }
            _ => 0,
        }
    }

    /// Makes the line's next connection.
    fn open(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        let number = self.lines[index].flow.number;
        let sources = &self.rules.sources;
        let source = sources.get(number as usize % sources.len().max(1)).copied();
        match connect(self.rules.addr, source) {
            Ok((socket, established)) => {
                let line = &mut self.lines[index];
                (line.stage, line.since) = (Stage::Connecting, now);
                self.connecting += 1;
                let watched = driver.watch(index, &socket, established);
                line.socket = Some(socket);
                match watched {
                    Ok(()) if established => self.connected(driver, index, clock::now()),
                    Ok(()) => {}
                    Err(errno) => self.broke(driver, index, "watch", errno),
                }
            }
            Err(error) => {
                let ending = Ending::of_connect(error.source);
                self.ended(driver, index, ending, || error.to_string());
            }
        }
    }

    /// The handshake is over.
    pub(super) fn connected(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        let line = &mut self.lines[index];
        line.stage = Stage::Open;
        self.connecting -= 1;
        self.tally.connections += 1;
        self.tally.connect.record(now - line.since);
        if self.rules.idle {
            line.flow.begin(&self.rules.manner, now, &mut 1);
        } else if self.rules.after == After::Stays {
            self.advance(driver, index, now);
            return;
        }
        if self.ready(index) > 0 {
            driver.push(self, index, now);
        }
    }

    /// Takes note of bytes that came back; what follows from it is [`Hand::follow_up`]'s, once the
    /// driver has its buffer back.
    pub(super) fn take(&mut self, index: usize, back: &[u8], now: u64) -> Result<u64, Mismatch> {
        self.progress = now;
        let moment = (now, self.schedule.base);
        self.lines[index].flow.received(back, &self.rules.manner, moment, &mut self.tally)
    }

    /// What follows from bytes that came back.
    pub(super) fn follow_up(
        &mut self,
        driver: &mut impl Driver,
        index: usize,
        taken: Result<u64, Mismatch>,
        now: u64,
    ) {
        match taken {
            Err(Mismatch(sentence)) => self.ended(driver, index, Ending::Mismatch, || sentence),
            Ok(0) => {}
            Ok(_) if self.rules.after == After::Stays => self.advance(driver, index, now),
            Ok(_) => self.exchanged(driver, index, now),
        }
    }

    /// A connection for one exchange has had it.
    fn exchanged(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        if self.rules.after == After::Closes {
            return self.shut(driver, index);
        }
        self.close(driver, index, true);
        self.advance(driver, index, now);
    }

    fn shut(&mut self, driver: &mut impl Driver, index: usize) {
        let line = &mut self.lines[index];
        line.stage = Stage::Shut;
        let failed = line
            .socket
            .as_ref()
            .and_then(|socket| rustix::net::shutdown(socket, Shutdown::Write).err());
        if let Some(errno) = failed {
            self.broke(driver, index, "shutdown", errno);
        }
    }

    /// The peer's FIN came.
    pub(super) fn end_of_file(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        if self.lines[index].stage == Stage::Shut {
            self.tally.ended(Ending::Finished, String::new);
            self.close(driver, index, false);
            return self.advance(driver, index, now);
        }
        let Flow { sent, received, .. } = self.lines[index].flow;
        let addr = self.rules.addr;
        self.ended(driver, index, Ending::ClosedEarly, || {
            format!("recv {addr}: end of file; {received} of {sent} bytes had come back")
        });
    }

    /// A call on the line's socket failed.
    pub(super) fn broke(
        &mut self,
        driver: &mut impl Driver,
        index: usize,
        op: &'static str,
        errno: Errno,
    ) {
        let connecting = self.lines[index].stage == Stage::Connecting;
        let ending =
            if connecting { Ending::of_connect(errno) } else { Ending::of_established(errno) };
        let addr = self.rules.addr;
        self.ended(driver, index, ending, || format!("{op} {addr}: {}", words(errno)));
    }

    /// The connection is over before its time; another one is made after a pause.
    fn ended(
        &mut self,
        driver: &mut impl Driver,
        index: usize,
        ending: Ending,
        sentence: impl FnOnce() -> String,
    ) {
        self.tally.ended(ending, sentence);
        self.tally.lost += self.lines[index].flow.under_way();
        self.close(driver, index, true);
        if matches!(self.phase, Phase::Running | Phase::Connecting) && !self.rules.idle {
            self.paused.push_back((clock::now() + PAUSE, index));
        }
    }

    /// Lets go of the line's socket.
    fn close(&mut self, driver: &mut impl Driver, index: usize, reset: bool) {
        let line = &mut self.lines[index];
        if line.stage == Stage::Connecting {
            self.connecting -= 1;
        }
        line.stage = Stage::Absent;
        line.flow.restart(&self.rules.manner);
        let Some(socket) = line.socket.take() else { return };
        if self.rules.after != After::Stays {
            self.closed += 1;
            if self.closed.is_multiple_of(64) {
                self.wire.note(&socket);
            }
        }
        if reset {
            let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
        }
        driver.release(index, socket);
    }

    /// Connects those again that have paused long enough.
    fn retry(&mut self, driver: &mut impl Driver, now: u64) {
        while self.paused.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, index)) = self.paused.pop_front() else { return };
            if self.rules.after != After::Stays {
                self.advance(driver, index, now);
            } else if driver.is_free(index) {
                self.open(driver, index, now);
            } else {
                self.paused.push_back((now + PAUSE, index));
            }
        }
    }

    /// Ends connections that have been waited for too long.
    fn scan(&mut self, driver: &mut impl Driver, now: u64) {
        if now < self.next_scan {
            return;
        }
        let timeout = self.rules.timeout;
        self.next_scan = now + SCAN.min(timeout / 4).max(1_000_000);
        let addr = self.rules.addr;
        for index in 0..self.lines.len() {
            let line = &self.lines[index];
            let (connecting, open) =
                (line.stage == Stage::Connecting, line.stage == Stage::Open && line.flow.waits());
            let shut = line.stage == Stage::Shut;
            let since = if connecting { line.since } else { line.flow.progress };
            let waited = Duration::from_nanos(now.saturating_sub(since));
            if now.saturating_sub(since) <= timeout {
                continue;
            }
            if connecting {
                self.ended(driver, index, Ending::ConnectTimeout, || {
                    format!("connect {addr}: no answer within {waited:.1?}")
                });
            } else if open || shut {
                let owed = line.flow.owed();
                self.ended(driver, index, Ending::GaveUp, || {
                    format!("recv {addr}: nothing came for {waited:.1?}; {owed} bytes are owed")
                });
            }
        }
    }

    /// After the measured time: nothing new is sent, what is owed is waited for, then FIN both ways.
    fn finish(&mut self, driver: &mut impl Driver, link: &Link, end: u64) -> Result<(), Error> {
        self.ask_the_kernel();
        self.phase = Phase::Draining;
        let grace = self.rules.grace.min(self.rules.timeout);
        let stays = self.rules.after == After::Stays;
        self.turn_until(driver, grace, |line| match line.stage {
            Stage::Absent => stays || line.flow.due <= line.flow.answered,
            Stage::Open => !line.flow.waits() && line.flow.due <= line.flow.answered,
            Stage::Connecting | Stage::Shut => false,
        })?;
        self.budget = 0;
        let moment = (clock::now(), self.schedule.base);
        for line in &mut self.lines {
            line.flow.give_up(&self.rules.manner, moment, end, &mut self.tally);
        }
        link.tell(News::Drained);
        link.wait_for_a_last_look();
        self.phase = Phase::Finishing;
        for index in 0..self.lines.len() {
            let line = &self.lines[index];
            let orderly = self.rules.after != After::Resets && !self.rules.idle;
            match line.stage {
                Stage::Open if orderly && line.flow.owed() == 0 => self.shut(driver, index),
                Stage::Open if orderly => self.note_owed(driver, index),
                Stage::Shut | Stage::Absent => {}
                _ => self.close(driver, index, true),
            }
        }
        self.turn_until(driver, grace, |line| line.stage == Stage::Absent)?;
        for index in 0..self.lines.len() {
            if self.lines[index].stage != Stage::Absent {
                self.ended(driver, index, Ending::GaveUp, || {
                    "recv: no FIN came after ours".to_owned()
                });
            }
        }
        Ok(())
    }

    fn note_owed(&mut self, driver: &mut impl Driver, index: usize) {
        let (addr, owed) = (self.rules.addr, self.lines[index].flow.owed());
        self.ended(driver, index, Ending::GaveUp, || {
            format!("recv {addr}: {owed} bytes had not come back when the run was over")
        });
    }

    fn ask_the_kernel(&mut self) {
        for line in &self.lines {
            if let (Stage::Open, Some(socket)) = (line.stage, &line.socket) {
                self.wire.note(socket);
            }
        }
    }

    fn turn_until(
        &mut self,
        driver: &mut impl Driver,
        grace: u64,
        done: impl Fn(&Line) -> bool,
    ) -> Result<(), Error> {
        let deadline = clock::now() + grace;
        loop {
            let now = clock::now();
            if now >= deadline || self.stop.is_at_once() || self.lines.iter().all(&done) {
                return Ok(());
            }
            driver.turn(self, deadline.min(now + 50_000_000))?;
        }
    }
}

/// A non-blocking socket, and whether it is connected already: loopback mostly answers within the call.
fn connect(to: SocketAddr, from: Option<SocketAddr>) -> Result<(OwnedFd, bool), Error> {
    let fail = |op| move |errno| Error::at(op, to, errno);
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)
        .map_err(fail("socket"))?;
    sockopt::set_tcp_nodelay(&socket, true).map_err(fail("setsockopt TCP_NODELAY"))?;
    if let Some(from) = from {
        // Else every port taken would be taken towards every address.
        let late = nix::sys::socket::sockopt::IpBindAddressNoPort;
        let _ = nix::sys::socket::setsockopt(&socket, late, &true);
        rustix::net::bind(&socket, &from).map_err(|errno| Error::at("bind", from, errno))?;
    }
    match rustix::net::connect(&socket, &to) {
        Ok(()) => Ok((socket, true)),
        Err(Errno::INPROGRESS) => Ok((socket, false)),
        Err(errno) => Err(Error::at("connect", to, errno)),
    }
}
