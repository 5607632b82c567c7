//! A target: its schedule, its connections and their results. A state machine that makes only calls that do not block, and
//! leaves what happened as [`Event`]s.

mod finish;
mod names;
mod outcome;

use std::{
    net::SocketAddr,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use rustix::event::PollFlags;
use tcpecho::{Attempt, Diagnosis, Ending};

use self::names::Names;
use super::{
    event::{Cause, Event, Loss},
    link::{Flight, Link, LinkOptions},
    payload::{Run, Stamp},
    plan::{Destination, LARGEST_PROBE, MOST_CONNECTIONS, Mode, Plan},
    schedule::{Pace, Schedule},
    stats::{Outages, Stats},
};

/// The most probes under way on one connection. The next ones wait, and their time runs.
const WINDOW: usize = 16384;
/// The most probes sent in one turn of the loop.
const TURN: usize = 256;
/// The most reads in one turn, over all connections.
const READS: usize = 4;
/// The most reads after a connection has ended: more than a receive buffer holds.
const LAST_READS: usize = 64;
/// A delay of more than this is a pause: the process was stopped, or no processor was free. Shorter delays are normal on a
/// busy machine.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(250);
/// The age of addresses at which a name is resolved again before a connection is made; the second, if they do not answer.
const FRESH: Duration = Duration::from_secs(5);
const FRESH_IF_DEAD: Duration = Duration::from_secs(1);

/// What all targets of a run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) mode: Mode,
    pub(crate) pace: Pace,
    pub(crate) count: Option<u64>,
    /// `count` is the number of answers, not of probes.
    pub(crate) until_answered: bool,
    pub(crate) timeout: Duration,
    pub(crate) size: usize,
    pub(crate) link: LinkOptions,
    pub(crate) run: Run,
    /// When the run began. Probes carry their due time relative to it.
    pub(crate) origin: Instant,
    /// Keep the time of each probe.
    pub(crate) keep_times: bool,
    /// The most connections at the same time, in the modes that make one for each probe.
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

/// Probes lost since the last answer.
#[derive(Debug)]
struct Missing {
    since: Instant,
    first: u64,
    lost: u64,
}

/// A target, with its counts and times.
#[derive(Debug)]
pub struct Target {
    /// The name of its destination.
    pub name: String,
    /// Counts and times.
    pub stats: Stats,
    /// The time of each probe, `None` for one without an answer in time; empty unless the plan keeps times.
    pub times: Vec<Option<Duration>>,
    /// What happened since they were taken.
    events: Vec<Event>,
    rules: Rules,
    names: Names,
    addrs: Vec<SocketAddr>,
    /// When the run began.
    created: Instant,
    /// When its last turn began.
    began: Instant,
    /// The connection to read next.
    next_link: usize,
    /// Why nothing is answered, if known.
    cause: Option<Cause>,
    schedule: Schedule,
    links: Vec<Link>,
    /// When to connect next, while there is no connection.
    next_try: Option<Instant>,
    tries: u32,
    /// How and when the last connection ended or the last attempt failed.
    last_ending: Option<(Ending, Instant)>,
    missing: Option<Missing>,
    /// The first corrupted answer: the number of the probe, and the offset of the first byte that is changed or missing.
    first_difference: Option<(u64, usize)>,
    /// Bytes of corrupted answers that are as they were sent.
    returned: u64,
    /// A connection has ended or an attempt has failed since the last answer.
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
            first_difference: None,
            returned: 0,
            broken: false,
        }
    }

    /// Returns the address in use, or the first to be tried next.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addrs.first().copied()
    }

    /// Returns how many probes are neither answered nor given up.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.links.iter().map(|link| link.under_way() as u64).sum()
    }

    /// Returns why no probe is answered, if none is and the reason is known.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref().filter(|_| self.stats.received() == 0)
    }

    /// Returns the outages so far, including one that has not ended.
    #[must_use]
    pub fn outages(&self, now: Instant) -> Outages {
        let mut outages = self.stats.outages;
        if let Some(missing) = self.missing.as_ref().filter(|_| self.broken) {
            outages.add_unended(now.saturating_duration_since(missing.since));
        }
        outages
    }

    /// Returns when the first probe was due.
    #[must_use]
    pub fn start(&self) -> Option<Instant> {
        self.schedule.start()
    }

    /// Returns what happened since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Returns whether all probes of the plan are done.
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

    /// Returns what to poll.
    pub(crate) fn watched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let name = self.names.watched().map(|fd| (fd, PollFlags::IN));
        self.links.iter().flat_map(Link::watched).chain(name)
    }

    /// Takes what poll(2) reported of [`Target::watched`], in that order.
    pub(crate) fn note_ready(&mut self, ready: &mut impl Iterator<Item = bool>) {
        for link in &mut self.links {
            link.note_ready(ready);
        }
        // An answer is looked for in each turn anyway.
        ready.by_ref().take(usize::from(self.names.watched().is_some())).for_each(drop);
    }

    /// Returns when the next turn is due even if no descriptor is ready.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.schedule.due().filter(|_| self.has_room());
        let links = self.links.iter().flat_map(|link| {
            let oldest = link.oldest().map(Flight::waited_for_from);
            let answer = oldest.and_then(|due| due.checked_add(self.rules.timeout));
            [link.deadline(), answer]
        });
        links.flatten().chain(due).chain(self.next_connect()).min()
    }

    /// Returns when to connect, while there is no connection: once its name is resolved again.
    fn next_connect(&self) -> Option<Instant> {
        let next_try = self.next_try.filter(|_| self.links.is_empty())?;
        Some(self.names.lookup_deadline().map_or(next_try, |end| end.max(next_try)))
    }

    /// Discounts a pause of this process: `late` after it had something to do, `span` at most.
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

    /// Reads what has come, gives up what took too long, and sends what is due.
    pub(crate) fn turn(&mut self, buffer: &mut [u8]) {
        self.began = Instant::now();
        self.look_up();
        self.proceed();
        self.receive(buffer);
        // After a pause the limits have to be postponed first, which the loop does.
        if self.stalled().is_zero() {
            self.expire();
            self.connect();
            self.issue();
        }
        self.send(buffer);
    }

    /// Returns how long this turn has taken, if that is a pause.
    fn stalled(&self) -> Duration {
        Some(self.began.elapsed()).filter(|span| *span > TOLERANCE).unwrap_or_default()
    }

    /// Continues handshakes.
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

    /// Takes the addresses of a name that was resolved again.
    fn look_up(&mut self) {
        match self.names.answer() {
            Some(Ok(mut addrs)) => {
                // The address that answered stays the first, if it is still among them.
                if let Some(at) = addrs.iter().position(|addr| Some(*addr) == self.addr()) {
                    addrs.swap(0, at);
                }
                self.addrs = addrs;
            }
            Some(Err(error)) => {
                self.events.push(Event::Unresolved(Box::new(Diagnosis::of_lookup(error))));
            }
            None => {}
        }
    }

    /// Reads what has come. Connections that had no read in this turn are first in the next.
    fn receive(&mut self, buffer: &mut [u8]) {
        let (mut reads, mut arrived) = (READS, Vec::new());
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
                link.receive(buffer, &mut arrived, &mut reads)
            } else {
                Ok(())
            };
            for found in arrived.drain(..) {
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

    /// Returns whether a connection for one probe has received its answer.
    fn is_over(&self, index: usize) -> bool {
        let link = self.links.get(index);
        self.rules.mode == Mode::Reconnect
            && link.is_some_and(|link| link.is_open() && link.under_way() == 0)
    }

    /// Gives up probes whose timeout has passed.
    fn expire(&mut self) {
        if let Some(limit) = Instant::now().checked_sub(self.rules.timeout) {
            self.give_up(|flight| flight.waited_for_from() <= limit);
        }
    }

    /// Gives up the probes for which `is_over` holds.
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
                self.take_rest(index);
                self.links.swap_remove(index);
            }
        }
    }

    /// Counts received bytes that cannot become an answer any more, since nothing more is read.
    fn take_rest(&mut self, index: usize) {
        let rest = self.links.get_mut(index).and_then(Link::rest);
        if let Some(found) = rest {
            self.found(index, &found);
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
        // On loopback the handshake may be complete already.
        self.proceed();
    }

    fn open(&mut self, now: Instant) -> Result<Link, Vec<Attempt>> {
        // With one connection the name is resolved again when it ends; with many, in between.
        if self.rules.mode != Mode::Stay {
            self.names.ask(if self.broken { FRESH_IF_DEAD } else { FRESH }, now);
        }
        let Rules { link: options, run, size, .. } = &self.rules;
        Link::open(self.addrs.clone(), options, *run, *size, now)
    }

    /// Sends probes that are due.
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
                // It was due before the connection ended or the attempt failed.
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
                // What was received before may still be read, and the read may know better why it ended.
                Err(broken) => {
                    let (mut arrived, mut reads) = (Vec::new(), LAST_READS);
                    let better = link.receive(buffer, &mut arrived, &mut reads).err();
                    for found in arrived {
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

/// Returns why an unanswered probe is lost, and the retransmissions since the last look.
fn loss(link: &mut Link, flight: &Flight, now: Instant) -> (Loss, u32) {
    let retransmits = link.kernel().map_or(0, |kernel| kernel.retransmits);
    let waited = now.saturating_duration_since(flight.due).saturating_sub(flight.paused);
    let why = match flight.sent {
        // It has waited for a connection until now.
        _ if link.is_connecting() => Loss::Ended(Ending::ConnectTimeout),
        Some(_) => Loss::Silence {
            waited,
            returned: link.incomplete(flight.stamp.seq),
            acknowledged: link.has_acknowledged(flight),
            retransmits,
        },
        None => Loss::Unsent { waited },
    };
    (why, retransmits)
}
