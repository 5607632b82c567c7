//! One target: its schedule, its connections and what came of them. A small state machine that is told the time, makes
//! only calls that do not block, and leaves what happened as [`Event`]s.

mod outcome;

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::event::PollFlags;
use tcpecho::{Attempt, Ending};

use super::{
    event::{Broken, Event, Loss},
    link::{Link, Way},
    probe::{Run, Stamp},
    schedule::{Pace, Schedule},
    stats::Stats,
};

/// Probes that may be under way at once, over one connection; then the next ones wait, and their time runs.
const WINDOW: usize = 16384;
/// Connections that may be under way at once, where each probe has its own.
const LINKS: usize = 256;
/// Probes that become due in one turn of the loop; then the other targets have theirs.
const TURN: usize = 256;

/// Which connection a probe goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One for all, made again when it breaks.
    Stay,
    /// Each has one of its own.
    Reconnect,
    /// The handshake is the probe.
    Connect,
}

/// What all targets of a run share.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) mode: Mode,
    pub(super) pace: Pace,
    pub(super) count: Option<u64>,
    /// Go on until so many are answered, not sent.
    pub(super) until_answered: bool,
    pub(super) timeout: Duration,
    pub(super) size: usize,
    pub(super) way: Way,
    pub(super) run: Run,
    /// When the run began: what probes count their time from.
    pub(super) origin: Instant,
    /// Keep the time of each probe.
    pub(super) keep_times: bool,
}

/// Probes that were lost since the last answer.
#[derive(Debug)]
struct Missing {
    since: Instant,
    first: u64,
    lost: u64,
}

#[derive(Debug)]
pub(super) struct Target {
    /// As it was typed.
    pub(super) name: String,
    pub(super) stats: Stats,
    /// The time of each probe, where they are kept.
    pub(super) times: Vec<Option<Duration>>,
    /// What happened since somebody looked.
    pub(super) events: Vec<Event>,
    rules: Rules,
    addrs: Vec<SocketAddr>,
    schedule: Schedule,
    links: Vec<Link>,
    /// When to connect next, while there is no connection.
    next_try: Option<Instant>,
    tries: u32,
    /// How the last connection ended, or the last attempt at one.
    last_ending: Option<Ending>,
    missing: Option<Missing>,
    /// A connection has ended, or could not be made, since the last answer.
    broken: bool,
}

impl Target {
    /// A target at these addresses, the first of which to answer is used.
    pub(super) fn new(name: String, addrs: Vec<SocketAddr>, rules: &Rules, now: Instant) -> Self {
        let most = rules.count.filter(|_| !rules.until_answered);
        let mut schedule = Schedule::new(rules.pace, most);
        if rules.mode != Mode::Stay {
            schedule.begin(now);
        }
        Target {
            name,
            stats: Stats::default(),
            times: Vec::new(),
            events: Vec::new(),
            rules: rules.clone(),
            addrs,
            schedule,
            links: Vec::new(),
            next_try: Some(now).filter(|_| rules.mode == Mode::Stay),
            tries: 0,
            last_ending: None,
            missing: None,
            broken: false,
        }
    }

    /// The address in use, or to be tried next.
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        self.addrs.first().copied()
    }

    /// When the first probe was due.
    pub(super) fn start(&self) -> Option<Instant> {
        self.schedule.start()
    }

    /// All that was asked for is done.
    pub(super) fn is_done(&self) -> bool {
        let enough = self.rules.until_answered
            && self.rules.count.is_some_and(|count| self.stats.received() >= count);
        let settled = self.schedule.has_begun()
            && self.schedule.is_over()
            && self.links.iter().all(|link| self.is_settled(link));
        enough || settled
    }

    fn is_settled(&self, link: &Link) -> bool {
        match self.rules.mode {
            Mode::Stay => link.under_way() == 0,
            // A link of a probe's own lives as long as the probe is under way.
            Mode::Reconnect | Mode::Connect => false,
        }
    }

    /// What to wait for.
    pub(super) fn watched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.links.iter().map(|link| (link.as_fd(), link.interest()))
    }

    /// What poll said of those, in their order.
    pub(super) fn note_ready(&mut self, ready: impl Iterator<Item = bool>) {
        for (link, ready) in self.links.iter_mut().zip(ready) {
            if ready {
                link.note_ready();
            }
        }
    }

    /// How many there are.
    pub(super) fn links(&self) -> usize {
        self.links.len()
    }

    /// When it has to be looked at, whatever the descriptors do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = self.schedule.due().filter(|_| self.has_room());
        let links = self.links.iter().flat_map(|link| {
            let answer = link.oldest_due().and_then(|due| due.checked_add(self.rules.timeout));
            [link.patience_ends(&self.rules.way), answer]
        });
        let next_try = self.next_try.filter(|_| self.links.is_empty());
        links.flatten().chain(due).chain(next_try).min()
    }

    fn has_room(&self) -> bool {
        match self.rules.mode {
            Mode::Stay => self.links.iter().all(|link| link.under_way() < WINDOW),
            Mode::Reconnect | Mode::Connect => self.links.len() < LINKS,
        }
    }

    /// One turn: what came, what is due, what took too long.
    pub(super) fn turn(&mut self, buffer: &mut [u8]) {
        self.proceed();
        self.receive(buffer);
        self.expire();
        self.connect();
        self.issue();
        self.send();
    }

    /// Connections that come about, or do not.
    fn proceed(&mut self) {
        let mut index = 0;
        while let Some(link) = self.links.get_mut(index) {
            let was_open = link.is_open();
            let now = Instant::now();
            match link.proceed(&self.rules.way, now) {
                Ok(true) if !was_open => {
                    if self.opened(index) {
                        index += 1;
                    } else {
                        self.links.swap_remove(index);
                    }
                }
                Ok(_) => index += 1,
                Err(failures) => {
                    let link = self.links.swap_remove(index);
                    self.could_not_connect(failures, Some(link), now);
                }
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        let (mut index, mut brought) = (0, Vec::new());
        while let Some(link) = self.links.get_mut(index) {
            let readable = link.is_open() && link.take_ready();
            let received = if readable { link.receive(buffer, &mut brought) } else { Ok(()) };
            for found in brought.drain(..) {
                self.found(index, &found);
            }
            let over = self.is_over(index);
            match received {
                _ if over => drop(self.links.swap_remove(index)),
                Ok(()) => index += 1,
                Err(broken) => {
                    let link = self.links.swap_remove(index);
                    self.broke(broken, link);
                }
            }
        }
    }

    /// A connection of one probe's own has brought its answer.
    fn is_over(&self, index: usize) -> bool {
        let link = self.links.get(index);
        self.rules.mode == Mode::Reconnect
            && link.is_some_and(|link| link.is_open() && link.under_way() == 0)
    }

    /// Probes whose time is over.
    fn expire(&mut self) {
        let Some(limit) = Instant::now().checked_sub(self.rules.timeout) else { return };
        let mut index = 0;
        while index < self.links.len() {
            let mut expired = false;
            while let Some(link) = self.links.get_mut(index)
                && let Some(flight) = link.miss(limit)
            {
                expired = true;
                let kernel = link.kernel();
                let retransmits = kernel.map_or(0, |kernel| kernel.retransmits);
                self.stats.retransmits += u64::from(retransmits);
                let why = match flight.sent {
                    Some(_) => {
                        let acknowledged = link.has_acknowledged(&flight);
                        Loss::Silence { acknowledged, retransmits }
                    }
                    None => Loss::Unsent,
                };
                self.lose(flight.stamp.seq, flight.due, why);
            }
            if expired && self.rules.mode != Mode::Stay {
                self.links.swap_remove(index);
            } else {
                index += 1;
            }
        }
    }

    fn connect(&mut self) {
        let now = Instant::now();
        let due = self.next_try.is_some_and(|at| at <= now);
        if self.rules.mode != Mode::Stay || !self.links.is_empty() || !due {
            return;
        }
        self.next_try = None;
        match self.open(now) {
            Ok(link) => self.links.push(link),
            Err(failures) => self.could_not_connect(failures, None, now),
        }
        // On loopback it is there already.
        self.proceed();
    }

    fn open(&self, now: Instant) -> Result<Link, Vec<Attempt>> {
        let Rules { way, run, size, .. } = &self.rules;
        Link::open(self.addrs.iter().copied(), way, *run, *size, now)
    }

    /// Probes that are due.
    fn issue(&mut self) {
        for _ in 0..TURN {
            let due = self.schedule.due().is_some_and(|due| due <= Instant::now());
            if !due || !self.has_room() {
                return;
            }
            let Some((seq, due)) = self.schedule.take() else { return };
            self.stats.transmitted += 1;
            if self.rules.keep_times {
                self.times.push(None);
            }
            let since = due.saturating_duration_since(self.rules.origin);
            let due_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            self.launch(Stamp { seq, due_ns }, due);
        }
    }

    fn launch(&mut self, stamp: Stamp, due: Instant) {
        if self.rules.mode == Mode::Stay {
            match (self.links.first_mut(), self.last_ending) {
                (Some(link), _) => link.add(stamp, due),
                (None, ending) => {
                    let ending = ending.unwrap_or(Ending::ClosedEarly);
                    self.lose(stamp.seq, due, Loss::Ended(ending));
                }
            }
            return;
        }
        let now = Instant::now();
        match self.open(now) {
            Ok(mut link) => {
                link.add(stamp, due);
                self.links.push(link);
                self.proceed();
            }
            Err(failures) => {
                let ending = failures.last().map_or(Ending::Limit, |failure| failure.ending);
                self.could_not_connect(failures, None, now);
                self.lose(stamp.seq, due, Loss::Ended(ending));
            }
        }
    }

    fn send(&mut self) {
        let mut index = 0;
        while let Some(link) = self.links.get_mut(index) {
            match link.send() {
                Ok(()) => index += 1,
                // What was sent to us before may still be read and knows better why; then this finds the end too.
                Err(broken) => {
                    let mut brought = Vec::new();
                    let mut buffer = vec![0; 65536];
                    let better = link.receive(&mut buffer, &mut brought).err();
                    for found in brought {
                        self.found(index, &found);
                    }
                    let link = self.links.swap_remove(index);
                    let eof = |broken: &Broken| broken.errno.is_none();
                    let better = better
                        .filter(|better| !eof(better) || broken.ending() == Ending::BrokenPipe);
                    self.broke(better.unwrap_or(broken), link);
                }
            }
        }
    }
}
