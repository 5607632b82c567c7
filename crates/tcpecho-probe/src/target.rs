//! One target: its schedule, its connections and what came of them. A small state machine that is told the time, makes
//! only calls that do not block, and leaves what happened as [`Event`]s.

mod finish;
mod names;
mod outcome;

use std::{
    net::SocketAddr,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use rustix::event::PollFlags;
use tcpecho::{Attempt, Diagnosis, Ending, Evidence, ResolveError, Symptom, evidence::Phase};

use self::names::Names;
use super::{
    event::{Cause, Event, Loss},
    link::{Flight, Link, LinkOptions},
    payload::{Run, Stamp},
    plan::{Destination, LARGEST_PROBE, MOST_CONNECTIONS, Mode, Plan},
    schedule::{Pace, Schedule},
    stats::{Outages, Stats},
};

/// Probes that may be under way at once, over one connection; then the next ones wait, and their time runs.
const WINDOW: usize = 16384;
/// Probes that become due in one turn of the loop; then the other targets have theirs.
const TURN: usize = 256;
/// Reads in one turn, over all connections.
const READS: usize = 4;
/// Reads after the end of a connection, which bring what the kernel still has: more than a receive buffer holds.
const LAST_READS: usize = 64;
/// What takes longer than this did not run: it was stopped, or no processor was free for it. Less than that is what a busy
/// machine does to every program.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(250);
/// A name is looked up again when a connection is made and its addresses are older than this; or, where they do not
/// answer, than the second.
const FRESH: Duration = Duration::from_secs(5);
const FRESH_IF_DEAD: Duration = Duration::from_secs(1);

/// What all targets of a run share.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) mode: Mode,
    pub(crate) pace: Pace,
    pub(crate) count: Option<u64>,
    /// Go on until so many are answered, not sent.
    pub(crate) until_answered: bool,
    pub(crate) timeout: Duration,
    pub(crate) size: usize,
    pub(crate) link: LinkOptions,
    pub(crate) run: Run,
    /// When the run began: what probes count their time from.
    pub(crate) origin: Instant,
    /// Keep the time of each probe.
    pub(crate) keep_times: bool,
    /// Connections that may be under way at once, where each probe has its own.
    pub(crate) links: usize,
}

impl Rules {
    pub(crate) fn new(plan: &Plan, origin: Instant) -> Self {
        Rules {
            mode: plan.mode,
            pace: plan.pace,
            count: plan.count,
            until_answered: plan.deadline.is_some(),
            timeout: plan.timeout,
            size: plan.size.clamp(1, LARGEST_PROBE),
            link: LinkOptions::of(plan),
            run: Run::new(),
            origin,
            keep_times: plan.keep_times,
            links: plan.connections.clamp(1, MOST_CONNECTIONS),
        }
    }
}

/// Probes that were lost since the last answer.
#[derive(Debug)]
struct Missing {
    since: Instant,
    first: u64,
    lost: u64,
}

#[derive(Debug)]
pub struct Target {
    /// As it was typed.
    pub name: String,
    pub stats: Stats,
    /// The time of each probe, where they are kept.
    pub times: Vec<Option<Duration>>,
    /// What happened since they were taken.
    events: Vec<Event>,
    rules: Rules,
    names: Names,
    addrs: Vec<SocketAddr>,
    /// When probing began.
    created: Instant,
    /// When its turn began.
    began: Instant,
    /// The connection whose turn to be read it is.
    next_link: usize,
    /// Why nothing is answered, as far as that is known.
    cause: Option<Cause>,
    schedule: Schedule,
    links: Vec<Link>,
    /// When to connect next, while there is no connection.
    next_try: Option<Instant>,
    tries: u32,
    /// How the last connection ended, or the last attempt at one, and when.
    last_ending: Option<(Ending, Instant)>,
    missing: Option<Missing>,
    /// A connection has ended, or could not be made, since the last answer.
    broken: bool,
}

impl Target {
    /// Creates a target whose first probe is due when it is connected, or now.
    pub(crate) fn new(destination: Destination, rules: &Rules, now: Instant) -> Self {
        let Destination { name, looked_up, addrs } = destination;
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
            names: Names::new(looked_up, now),
            addrs,
            created: now,
            began: now,
            next_link: 0,
            cause: None,
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
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addrs.first().copied()
    }

    /// Probes that are neither answered nor given up.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.links.iter().map(|link| link.under_way() as u64).sum()
    }

    /// Why nothing was answered.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref().filter(|_| self.stats.received() == 0)
    }

    /// The outages so far, with one that goes on.
    #[must_use]
    pub fn outages(&self, now: Instant) -> Outages {
        let mut outages = self.stats.outages;
        if let Some(missing) = self.missing.as_ref().filter(|_| self.broken) {
            outages.add_unended(now.saturating_duration_since(missing.since));
        }
        outages
    }

    /// When the first probe was due.
    #[must_use]
    pub fn start(&self) -> Option<Instant> {
        self.schedule.start()
    }

    /// Returns what happened since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// All that was asked for is done.
    pub(crate) fn is_done(&self) -> bool {
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
    pub(crate) fn watched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let name = self.names.watched().map(|fd| (fd, PollFlags::IN));
        self.links.iter().flat_map(Link::watched).chain(name)
    }

    /// What poll said of those, in their order: it takes as many as there are.
    pub(crate) fn note_ready(&mut self, ready: &mut impl Iterator<Item = bool>) {
        for link in &mut self.links {
            link.note_ready(ready);
        }
        // Whether there is an answer is looked at anyway.
        ready.by_ref().take(usize::from(self.names.watched().is_some())).for_each(drop);
    }

    /// When it has to be looked at, whatever the descriptors do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.schedule.due().filter(|_| self.has_room());
        let links = self.links.iter().flat_map(|link| {
            let oldest = link.oldest().map(Flight::waited_for_from);
            let answer = oldest.and_then(|due| due.checked_add(self.rules.timeout));
            [link.deadline(), answer]
        });
        links.flatten().chain(due).chain(self.next_connect()).min()
    }

    /// When to connect, while there is no connection: once its addresses have been looked up again.
    fn next_connect(&self) -> Option<Instant> {
        let next_try = self.next_try.filter(|_| self.links.is_empty())?;
        Some(self.names.patience_ends().map_or(next_try, |end| end.max(next_try)))
    }

    /// This program did not run for `late` after it had something to do, and for `span` at most: that time is nobody
    /// else's.
    pub(crate) fn postpone(&mut self, span: Duration, late: Duration) {
        self.schedule.postpone(late);
        for link in &mut self.links {
            link.postpone(span);
        }
        let times = [Some(&mut self.created), self.next_try.as_mut()];
        let missing = self.missing.as_mut().map(|missing| &mut missing.since);
        for at in times.into_iter().chain([missing]).flatten() {
            *at = at.checked_add(late).unwrap_or(*at);
        }
    }

    fn has_room(&self) -> bool {
        match self.rules.mode {
            Mode::Stay => self.links.iter().all(|link| link.under_way() < WINDOW),
            Mode::Reconnect | Mode::Connect => self.links.len() < self.rules.links,
        }
    }

    /// One turn: what came, what is due, what took too long.
    pub(crate) fn turn(&mut self, buffer: &mut [u8]) {
        self.began = Instant::now();
        self.look_up();
        self.proceed();
        self.receive(buffer);
        // What follows is judged anew when the loop has seen that this program did not run.
        if self.stalled().is_zero() {
            self.expire();
            self.connect();
            self.issue();
        }
        self.send(buffer);
    }

    /// How long this turn has taken, if that is more than it can.
    fn stalled(&self) -> Duration {
        Some(self.began.elapsed()).filter(|span| *span > TOLERANCE).unwrap_or_default()
    }

    /// Connections that come about, or do not.
    fn proceed(&mut self) {
        let mut index = 0;
        while let Some(link) = self.links.get_mut(index) {
            let was_open = link.is_open();
            let now = Instant::now();
            match link.proceed(&self.rules.link, now) {
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

    /// A name that has been looked up again.
    fn look_up(&mut self) {
        match self.names.answer() {
            Some(Ok(mut addrs)) => {
                // The one that has answered stays the first to be tried, if it is still one of them.
                if let Some(at) = addrs.iter().position(|addr| Some(*addr) == self.addr()) {
                    addrs.swap(0, at);
                }
                self.addrs = addrs;
            }
            Some(Err(error)) => {
                self.events.push(Event::Unresolved(Box::new(unresolved(error))));
            }
            None => {}
        }
    }

    /// What has come, some reads of it: those connections that have had none are the first the next time.
    fn receive(&mut self, buffer: &mut [u8]) {
        let (mut reads, mut brought) = (READS, Vec::new());
        for _ in 0..self.links.len() {
            if reads == 0 {
                return;
            }
            if self.next_link >= self.links.len() {
                self.next_link = 0;
            }
            let index = self.next_link;
            let Some(link) = self.links.get_mut(index) else { return };
            let received = if link.is_ready() {
                link.receive(buffer, &mut brought, &mut reads)
            } else {
                Ok(())
            };
            for found in brought.drain(..) {
                self.found(index, &found);
            }
            let over = self.is_over(index);
            match received {
                _ if over => drop(self.links.swap_remove(index)),
                Ok(()) => self.next_link += 1,
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
        if let Some(limit) = Instant::now().checked_sub(self.rules.timeout) {
            self.give_up(|flight| flight.waited_for_from() <= limit);
        }
    }

    /// Probes that are not waited for any longer.
    fn give_up(&mut self, is_over: impl Fn(&Flight) -> bool) {
        let mut index = 0;
        while let Some(link) = self.links.get_mut(index) {
            if !link.oldest().is_some_and(&is_over) {
                index += 1;
                continue;
            }
            let now = Instant::now();
            if self.rules.mode != Mode::Stay && link.is_connecting() {
                let mut link = self.links.swap_remove(index);
                let failures = link.give_up(now);
                self.could_not_connect(failures, Some(link), now);
                continue;
            }
            if self.stats.received() == 0 && link.is_open() {
                let diagnosis = link.silence(now);
                self.cause =
                    Some(Cause { op: "poll", addr: Some(link.peer), errno: None, diagnosis });
            }
            while let Some(link) = self.links.get_mut(index)
                && link.oldest().is_some_and(&is_over)
                && let Some(flight) = link.miss()
            {
                let (why, retransmits) = loss(link, &flight, now);
                self.stats.retransmits += u64::from(retransmits);
                self.lose(flight.stamp.seq, flight.due, why);
            }
            if self.rules.mode == Mode::Stay {
                index += 1;
            } else {
                self.links.swap_remove(index);
            }
        }
    }

    fn connect(&mut self) {
        let now = Instant::now();
        let due = self.next_connect().is_some_and(|at| at <= now);
        if self.rules.mode != Mode::Stay || !self.links.is_empty() || !due {
            return;
        }
        self.next_try = None;
        match self.open(now) {
            Ok(link) => self.links.push(link),
            Err(failures) => {
                self.could_not_connect(failures, None, now);
            }
        }
        // On loopback it is there already.
        self.proceed();
    }

    fn open(&mut self, now: Instant) -> Result<Link, Vec<Attempt>> {
        // A connection in its place looks the name up when it has ended; one for each probe, while they go on.
        if self.rules.mode != Mode::Stay {
            self.names.ask(if self.broken { FRESH_IF_DEAD } else { FRESH }, now);
        }
        let Rules { link: options, run, size, .. } = &self.rules;
        Link::open(self.addrs.clone(), options, *run, *size, now)
    }

    /// Probes that are due.
    fn issue(&mut self) {
        for _ in 0..TURN {
            if !self.stalled().is_zero() {
                return;
            }
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
                // It was due already when the connection ended or the attempt failed.
                (None, Some((ending, at))) if due <= at => {
                    self.lose(stamp.seq, due, Loss::Ended(ending));
                }
                (None, _) => self.lose(stamp.seq, due, Loss::NoConnection),
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
                let ending = self.could_not_connect(failures, None, now);
                self.lose(stamp.seq, due, Loss::Ended(ending));
            }
        }
    }

    fn send(&mut self, buffer: &mut [u8]) {
        let mut index = 0;
        while let Some(link) = self.links.get_mut(index) {
            match link.send() {
                Ok(()) => index += 1,
                // What was sent to us before may still be read and knows better why; then this finds the end too.
                Err(broken) => {
                    let (mut brought, mut reads) = (Vec::new(), LAST_READS);
                    let better = link.receive(buffer, &mut brought, &mut reads).err();
                    for found in brought {
                        self.found(index, &found);
                    }
                    let link = self.links.swap_remove(index);
                    let better = better.filter(|better| {
                        better.errno.is_some() || broken.ending() == Ending::BrokenPipe
                    });
                    self.broke(better.unwrap_or(broken), link);
                }
            }
        }
    }
}

fn unresolved(error: ResolveError) -> Diagnosis {
    let evidence = Evidence { phase: Phase::Resolve, ..Evidence::default() };
    Diagnosis::of(&Symptom::Unresolved(error), &evidence)
}

/// Why a probe that has not been answered is lost, and how often something was sent again since somebody looked.
fn loss(link: &mut Link, flight: &Flight, now: Instant) -> (Loss, u32) {
    let retransmits = link.kernel().map_or(0, |kernel| kernel.retransmits);
    let waited = now.saturating_duration_since(flight.due).saturating_sub(flight.paused);
    let why = match flight.sent {
        // It waited for a connection all the time.
        _ if link.is_connecting() => Loss::Ended(Ending::ConnectTimeout),
        Some(_) => {
            Loss::Silence { waited, acknowledged: link.has_acknowledged(flight), retransmits }
        }
        None => Loss::Unsent { waited },
    };
    (why, retransmits)
}
