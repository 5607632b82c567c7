//! A worker: the connections of one thread, and the phases of the run. A [`Driver`] moves the bytes and returns
//! events; the worker decides what follows from them.

mod end;
mod slot;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use tcpecho::{Ending, Error};
use tcpecho_os::pause::{Clocks, Pause, PauseDetector};

use crate::{
    address::Address,
    clock,
    driver::{Driver, Event},
    flow::Moment,
    message::{Link, Message, Milestones},
    plan::{After, Plan},
    profile::Profile,
    stop::Stop,
    tally::Tally,
    watch::{Pauses, Watch},
    wire::WireSums,
};

use self::slot::{ConnSlot, Stage};

/// Time between a failed connection and the next one of its slot.
const PAUSE: u64 = 100_000_000;
/// Most handshakes of one worker at a time while the first connections are made, so that accept queues have
/// room for them.
const CONNECTING: usize = 128;
/// Longest time between two checks of the connections' timeouts.
const SCAN: u64 = 250_000_000;
/// Most requests that become due in one pass, so that answers are handled at any rate.
const BATCH: usize = 4096;
/// The worker does not sleep if the next request is due within this time: a sleep takes longer.
const SPIN: u64 = 30_000;
/// Most slots that send their first message in one pass. Many more would take longer than a short run lasts.
const START_BATCH: usize = 256;
/// A wait that ends this much too late was a pause: the program was stopped, or no processor was free. What was
/// measured across it says nothing about the server.
const PAUSED: Duration = Duration::from_millis(250);

/// The parts of the plan that every worker needs, times in nanoseconds.
pub(crate) struct Rules {
    pub(crate) profile: Profile,
    pub(crate) address: Arc<Address>,
    /// Local addresses, taken in turn.
    pub(crate) sources: Vec<SocketAddr>,
    pub(crate) after: After,
    /// Whether every connection makes one exchange and is silent from then on.
    pub(crate) idle: bool,
    /// Connections per second of each worker while the first connections are made.
    pub(crate) connect_rate: Option<f64>,
    /// A connection that owes bytes and returns none for this long has failed.
    pub(crate) timeout: u64,
    /// How long to wait at the end for answers, and then for the peers' FINs.
    pub(crate) grace: u64,
    /// Time between two reports of counts.
    pub(crate) interval: u64,
}

impl Rules {
    /// Returns the rules of a plan with so many workers.
    pub(crate) fn new(plan: &Plan, threads: usize) -> Self {
        Self {
            profile: plan.profile.clone(),
            address: Arc::new(Address::new(plan.addr)),
            sources: plan.sources.clone(),
            after: plan.after,
            idle: plan.idle,
            connect_rate: plan.connect_rate.map(|rate| rate / threads as f64),
            timeout: clock::nanos(plan.timeout),
            grace: clock::nanos(plan.grace),
            interval: clock::nanos(plan.interval),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Running,
    Draining,
    Finishing,
}

/// The connections of one thread and what is counted about them.
struct Worker<'a> {
    rules: &'a Rules,
    slots: Vec<ConnSlot>,
    tally: Tally,
    phase: Phase,
    milestones: Milestones,
    /// Messages that may still be begun.
    budget: u64,
    /// The next request of the schedule: its message and its slot.
    cursor: (u64, usize),
    next_due: u64,
    /// Slots that wait before they connect again, and until when.
    waiting: VecDeque<(u64, usize)>,
    /// Slots with a handshake in progress.
    connecting: usize,
    /// The next slot that has not sent its first message yet.
    starting: usize,
    /// Messages that were settled before the measured time; at the end, those that were due in it.
    requests: u64,
    pauses: PauseDetector,
    paused: Pauses,
    /// When the last pause ended.
    resumed: u64,
    /// When bytes were last received on any slot.
    progress: u64,
    next_scan: u64,
    stop: &'a Stop,
    wire: WireSums,
    /// Closed connections, if each makes one exchange: every 64th is asked for its `TCP_INFO` when it is closed.
    closed: u64,
}

/// Runs a worker from the first connection to the last FIN.
pub(crate) fn run(
    driver: &mut impl Driver,
    rules: &Rules,
    numbers: impl Iterator<Item = u64>,
    budget: u64,
    link: &Link,
    stop: &Stop,
) -> Result<(), Error> {
    let mut worker = Worker::new(rules, numbers, stop);
    if rules.after == After::KeepOpen {
        worker.connect_all(driver)?;
    }
    let tally = Box::new(std::mem::take(&mut worker.tally));
    link.send(Message::Connected { tally });
    let Some(milestones) = link.wait_for_start() else { return Ok(()) };
    worker.milestones = milestones;
    worker.measure(driver, budget, link)
}

impl<'a> Worker<'a> {
    fn new(rules: &'a Rules, numbers: impl Iterator<Item = u64>, stop: &'a Stop) -> Self {
        Self {
            rules,
            slots: numbers.map(|number| ConnSlot::new(number, rules)).collect(),
            tally: Tally::new(),
            phase: Phase::Connecting,
            milestones: Milestones::default(),
            budget: 0,
            cursor: (0, 0),
            next_due: u64::MAX,
            waiting: VecDeque::new(),
            connecting: 0,
            starting: 0,
            requests: 0,
            pauses: PauseDetector::new(PAUSED, Clocks::now()),
            paused: Pauses::default(),
            resumed: 0,
            progress: clock::now(),
            next_scan: 0,
            stop,
            wire: WireSums::default(),
            closed: 0,
        }
    }
}

impl Worker<'_> {
    /// Makes the first connections, at the rate of the plan and with at most [`CONNECTING`] handshakes at a time.
    fn connect_all(&mut self, driver: &mut impl Driver) -> Result<(), Error> {
        let start = clock::now();
        let mut made = 0;
        loop {
            let now = clock::now();
            let due = match self.rules.connect_rate {
                Some(rate) => ((now - start) as f64 / 1e9 * rate) as usize + 1,
                None => usize::MAX,
            };
            while made < self.slots.len().min(due) && self.connecting < CONNECTING {
                self.open(driver, made, clock::now());
                made += 1;
            }
            let settled = made == self.slots.len()
                && self.connecting == 0
                && !(self.rules.idle && self.slots.iter().any(|slot| slot.flow.waits()));
            if settled || self.stop.is_set() {
                return Ok(());
            }
            self.scan(driver, now);
            let next = match self.rules.connect_rate {
                Some(rate) if made < self.slots.len() => start + (made as f64 * 1e9 / rate) as u64,
                _ => now + SCAN,
            };
            self.poll(driver, next.min(now + SCAN))?;
        }
    }

    /// Runs the warm-up, the measured time, and the end.
    fn measure(&mut self, driver: &mut impl Driver, budget: u64, link: &Link) -> Result<(), Error> {
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        self.wait_for_start(driver)?;
        self.phase = Phase::Running;
        self.budget = if self.rules.idle { 0 } else { budget };
        self.progress = clock::now();
        self.set_next_due();
        let mut watch = Watch::start();
        let mut boundary = self.milestones.measure;
        let (mut measuring, mut from) = (false, 0);
        let mut paused_before = Pauses::default();
        loop {
            let now = clock::now();
            self.notice_pause(now);
            let end = now >= self.milestones.end || self.is_over(now);
            if now >= boundary || end {
                let tally = Box::new(std::mem::take(&mut self.tally));
                if measuring {
                    link.send(Message::Interval { at: now, tally });
                } else {
                    // How connections broke in the warm-up is reported, too: the fault is the same.
                    link.send(Message::WarmedUp { tally });
                    watch = Watch::start();
                    from = now;
                    paused_before = self.paused;
                    self.requests = self.settled();
                }
                measuring = true;
                boundary = (boundary + self.rules.interval).max(now + 1).min(self.milestones.end);
            }
            if end {
                break;
            }
            self.start_some(driver);
            self.send_due(driver, now);
            self.retry(driver, now);
            self.scan(driver, now);
            let until = self.next_moment(now, boundary);
            self.poll(driver, until)?;
        }
        let to = clock::now();
        let client = watch.stop();
        let paused_in_it = self.paused.stopped_ns - paused_before.stopped_ns;
        let open = self.open_slots();
        let starved = self.starved_slots(from);
        self.send_due(driver, to);
        self.finish(driver, link, to.min(self.milestones.end))?;
        let tail = Box::new(std::mem::take(&mut self.tally));
        link.send(Message::Done {
            tail,
            wire: self.wire,
            client,
            open,
            // Pauses of this program are not part of the measured time.
            window: (to - from).saturating_sub(paused_in_it),
            starved,
            requests: self.requests,
            paused: self.paused,
        });
        Ok(())
    }

    /// Returns how many messages were answered, lost or given up so far.
    fn settled(&self) -> u64 {
        self.slots.iter().map(|slot| slot.flow.answered).sum()
    }

    /// Waits for events, until `until` at the latest, and handles them.
    fn poll(&mut self, driver: &mut impl Driver, until: u64) -> Result<(), Error> {
        self.pauses.expect(Duration::from_nanos(until));
        driver.wait(until, self.rules.profile.schedule.is_some())?;
        while let Some(event) = driver.next_event()? {
            self.on_event(driver, event);
        }
        Ok(())
    }

    fn on_event(&mut self, driver: &mut impl Driver, event: Event) {
        let now = clock::now();
        match event {
            Event::Handshake(slot) => self.on_handshake(driver, slot),
            Event::Received(slot) => {
                let taken = self.take(slot, driver.received(), now);
                self.follow_up(driver, slot, taken, now);
            }
            Event::EndOfFile(slot) => self.end_of_file(driver, slot, now),
            Event::Writable(slot) => {
                if self.slots[slot].stage == Stage::Open {
                    self.push(driver, slot, now);
                }
            }
            Event::Free(slot) => self.advance(driver, slot, now),
            Event::Failed(slot, op, errno) => self.broke(driver, slot, op, errno),
        }
    }

    /// Notices a pause before `now`. Called with every time that is measured.
    fn notice_pause(&mut self, now: u64) {
        if let Some(stopped) = self.pauses.late(Duration::from_nanos(now)) {
            self.resume(now, Pause { stopped, suspended: Duration::ZERO });
        }
    }

    /// Continues after a pause. The time before it does not count against the server.
    fn resume(&mut self, now: u64, pause: Pause) {
        self.resumed = now;
        self.progress = now;
        self.paused.add(pause);
    }

    fn moment(&self, now: u64) -> Moment {
        Moment { now, base: self.milestones.base, resumed: self.resumed }
    }

    fn open_slots(&self) -> u64 {
        let open = |slot: &&ConnSlot| matches!(slot.stage, Stage::Open | Stage::Shut);
        self.slots.iter().filter(open).count() as u64
    }

    /// Returns how many connections wait for the server and have received nothing since `from`.
    fn starved_slots(&self, from: u64) -> u64 {
        let starved = |slot: &&ConnSlot| {
            slot.stage == Stage::Open && slot.flow.waits() && slot.flow.progress < from
        };
        self.slots.iter().filter(starved).count() as u64
    }

    fn wait_for_start(&mut self, driver: &mut impl Driver) -> Result<(), Error> {
        loop {
            let now = clock::now();
            if now >= self.milestones.base || self.stop.is_set() {
                return Ok(());
            }
            self.poll(driver, self.milestones.base)?;
        }
    }

    /// Returns whether there is nothing more to do before the time is over.
    fn is_over(&self, now: u64) -> bool {
        if self.stop.is_set() {
            return true;
        }
        if self.budget == 0 && !self.rules.idle {
            return !self.slots.iter().any(|slot| slot.flow.waits());
        }
        self.has_stalled(now)
    }

    /// Returns whether nothing was received for so long that every connection and the one after it have timed
    /// out.
    fn has_stalled(&self, now: u64) -> bool {
        now.saturating_sub(self.progress) > self.rules.timeout.saturating_mul(2) + PAUSE
            && self.slots.iter().any(|slot| slot.flow.waits() || slot.stage != Stage::Open)
            && !self.rules.idle
            && (self.rules.profile.schedule.is_none()
                || self.slots.iter().any(|slot| slot.flow.due > slot.flow.answered))
    }

    fn next_moment(&self, now: u64, boundary: u64) -> u64 {
        let retry = self.waiting.front().map_or(u64::MAX, |(until, _)| *until);
        let next = boundary.min(self.milestones.end).min(retry).min(self.next_scan);
        // Without a wait, the answers of others are still handled before the next request is sent.
        let starting = self.starting < self.slots.len();
        let due = if starting || self.next_due <= now + SPIN { now } else { self.next_due };
        next.min(due)
    }

    /// Lets the next [`START_BATCH`] slots send their first message.
    fn start_some(&mut self, driver: &mut impl Driver) {
        let end = self.slots.len().min(self.starting + START_BATCH);
        for index in self.starting..end {
            self.advance(driver, index, clock::now());
        }
        self.starting = end;
    }

    fn set_next_due(&mut self) {
        let (message, index) = self.cursor;
        let due = self
            .slots
            .get(index)
            .and_then(|slot| self.rules.profile.due(slot.flow.number, message));
        self.next_due = due.map_or(u64::MAX, |due| self.milestones.base.saturating_add(due));
    }

    /// Sends requests that have become due, [`BATCH`] at most.
    fn send_due(&mut self, driver: &mut impl Driver, now: u64) {
        for _ in 0..BATCH {
            if self.next_due > now || self.next_due >= self.milestones.end {
                return;
            }
            let index = self.cursor.1;
            self.tally.note_late(now - self.next_due);
            self.slots[index].flow.due += 1;
            self.cursor.1 += 1;
            if self.cursor.1 == self.slots.len() {
                self.cursor = (self.cursor.0 + 1, 0);
            }
            self.set_next_due();
            self.advance(driver, index, clock::now());
        }
    }

    /// Connects slots again whose pause is over.
    fn retry(&mut self, driver: &mut impl Driver, now: u64) {
        while self.waiting.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, index)) = self.waiting.pop_front() else { return };
            if self.rules.after != After::KeepOpen {
                self.advance(driver, index, now);
            } else if driver.is_free(index) {
                self.open(driver, index, now);
            } else {
                self.waiting.push_back((now + PAUSE, index));
            }
        }
    }

    /// Ends connections that have timed out.
    fn scan(&mut self, driver: &mut impl Driver, now: u64) {
        if now < self.next_scan {
            return;
        }
        if let Some(pause) = self.pauses.check(Clocks::now()) {
            self.resume(now, pause);
        }
        let timeout = self.rules.timeout;
        self.next_scan = now + SCAN.min(timeout / 4).max(1_000_000);
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let (connecting, open) =
                (slot.stage == Stage::Connecting, slot.stage == Stage::Open && slot.flow.waits());
            let shut = slot.stage == Stage::Shut;
            let addr = slot.addr;
            let since = if connecting { slot.since } else { slot.flow.progress };
            let since = since.max(self.resumed);
            let waited = Duration::from_nanos(now.saturating_sub(since));
            if now.saturating_sub(since) <= timeout {
                continue;
            }
            if connecting {
                self.ended(driver, index, Ending::ConnectTimeout, || {
                    format!(
                        "connect {addr}: no answer within {}",
                        tcpecho::internal::show_duration(waited)
                    )
                });
            } else if open || shut {
                let owed = slot.flow.owed();
                self.ended(driver, index, Ending::TimedOut, || {
                    format!(
                        "recv {addr}: nothing came for {}; {owed} bytes are missing",
                        tcpecho::internal::show_duration(waited)
                    )
                });
            }
        }
    }
}
