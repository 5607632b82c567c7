//! One thread's part of the load: its flows, what became of their connections, and the phases of the
//! run. The drivers below it move the bytes; whatever they see they tell it here.

mod end;
mod line;
mod wire;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use tcpecho::{Ending, Error};
use tcpecho_os::pause::{Clocks, Pause, PauseDetector};

use super::{
    address::Address,
    clock,
    driver::Driver,
    flow::{Flow, Manner, Moment},
    news::{Link, News, Schedule, Stop},
    tally::Tally,
    watch::{Pauses, Watch},
};

pub(super) use self::{
    line::{Line, Stage},
    wire::WireSums,
};

/// How long a flow whose connection broke waits before it makes another one.
const PAUSE: u64 = 100_000_000;
/// Connections of one thread that may be under way at a time, so that they fit into accept queues.
const CONNECTING: usize = 128;
/// How often connections are looked over for deadlines, at least.
const SCAN: u64 = 250_000_000;
/// Requests that are let go in one pass, so that an absurd rate leaves time for answers and signals.
const BATCH: usize = 4096;
/// A request due within this is waited for without sleeping: a sleep takes longer.
const SPIN: u64 = 30_000;

/// Lines that send their first message in one pass. Many more would take longer than a short run lasts.
const START_BATCH: usize = 256;
/// A thread that is back so much later than it wanted to was stopped, or had no processor: what it measured
/// meanwhile says nothing about the server.
const PAUSED: Duration = Duration::from_millis(250);

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
    pub(super) address: Arc<Address>,
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
enum Phase {
    Connecting,
    Running,
    Draining,
    Finishing,
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
    waiting: VecDeque<(u64, usize)>,
    /// Lines that have a connection under way.
    connecting: usize,
    /// The next line that has not sent its first message yet.
    starting: usize,
    /// Messages answered, lost or given up before the measured time; in the end, those that were due in it.
    requests: u64,
    pauses: PauseDetector,
    paused: Pauses,
    /// When the last pause was over.
    pub(super) resumed: u64,
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
            handshake: None,
            socket: None,
            addr: rules.address.get(),
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
    };
    if rules.after == After::Stays {
        hand.connect_all(driver)?;
    }
    let tally = Box::new(std::mem::replace(&mut hand.tally, Tally::new()));
    link.tell(News::Connected { tally });
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
            self.turn(driver, next.min(now + SCAN))?;
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
        let mut watch = Watch::start();
        let mut boundary = self.schedule.measure;
        let (mut measuring, mut from) = (false, 0);
        let mut paused_before = Pauses::default();
        loop {
            let now = clock::now();
            self.notice_pause(now);
            let end = now >= self.schedule.end || self.is_over(now);
            if now >= boundary || end {
                let tally = Box::new(std::mem::replace(&mut self.tally, Tally::new()));
                if measuring {
                    link.tell(News::Interval { at: now, tally });
                } else {
                    // How connections broke in the warm-up is told too: the fault is the same.
                    link.tell(News::WarmedUp { tally });
                    watch = Watch::start();
                    from = now;
                    paused_before = self.paused;
                    self.requests = self.settled();
                }
                measuring = true;
                boundary = (boundary + self.rules.interval).max(now + 1).min(self.schedule.end);
            }
            if end {
                break;
            }
            self.start_some(driver);
            self.fire(driver, now);
            self.retry(driver, now);
            self.scan(driver, now);
            let until = self.next_moment(now, boundary);
            self.turn(driver, until)?;
        }
        let to = clock::now();
        let client = watch.stop();
        let paused_in_it = self.paused.stopped_ns - paused_before.stopped_ns;
        let open = self.open_lines();
        self.fire(driver, to);
        self.finish(driver, link, to.min(self.schedule.end))?;
        let tail = Box::new(std::mem::replace(&mut self.tally, Tally::new()));
        link.tell(News::Done {
            tail,
            wire: self.wire,
            client,
            open,
            // The time in which this program did not run was not measured.
            window: (to - from).saturating_sub(paused_in_it),
            requests: self.requests,
            paused: self.paused,
        });
        Ok(())
    }

    /// Messages that were answered, lost or given up so far.
    fn settled(&self) -> u64 {
        self.lines.iter().map(|line| line.flow.answered).sum()
    }

    /// Lets the driver wait until then.
    fn turn(&mut self, driver: &mut impl Driver, until: u64) -> Result<(), Error> {
        self.pauses.expect(Duration::from_nanos(until));
        driver.turn(self, until)
    }

    /// Called with each moment that is measured: notices whether this program was paused before it.
    pub(super) fn notice_pause(&mut self, now: u64) {
        if let Some(stopped) = self.pauses.late(Duration::from_nanos(now)) {
            self.resume(now, Pause { stopped, suspended: Duration::ZERO });
        }
    }

    /// Nothing of the time before counts against the server.
    fn resume(&mut self, now: u64, pause: Pause) {
        self.resumed = now;
        self.progress = now;
        self.paused.add(pause);
    }

    pub(super) fn moment(&self, now: u64) -> Moment {
        Moment { now, base: self.schedule.base, resumed: self.resumed }
    }

    fn open_lines(&self) -> u64 {
        let open = |line: &&Line| matches!(line.stage, Stage::Open | Stage::Shut);
        self.lines.iter().filter(open).count() as u64
    }

    fn wait_for_start(&mut self, driver: &mut impl Driver) -> Result<(), Error> {
        loop {
            let now = clock::now();
            if now >= self.schedule.base || self.stop.is_set() {
                return Ok(());
            }
            self.turn(driver, self.schedule.base)?;
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
        let retry = self.waiting.front().map_or(u64::MAX, |(until, _)| *until);
        let next = boundary.min(self.schedule.end).min(retry).min(self.next_scan);
        // What is due next may not be due before the answers of others have been seen to.
        let starting = self.starting < self.lines.len();
        let due = if starting || self.next_due <= now + SPIN { now } else { self.next_due };
        next.min(due)
    }

    /// Lets the next lines send their first message. A batch at a time: answers are taken in between, and
    /// the clock is looked at.
    fn start_some(&mut self, driver: &mut impl Driver) {
        let end = self.lines.len().min(self.starting + START_BATCH);
        for index in self.starting..end {
            self.advance(driver, index, clock::now());
        }
        self.starting = end;
    }

    fn set_next_due(&mut self) {
        let (message, index) = self.cursor;
        let due =
            self.lines.get(index).and_then(|line| self.rules.manner.due(line.flow.number, message));
        self.next_due = due.map_or(u64::MAX, |due| self.schedule.base.saturating_add(due));
    }

    /// Lets the lines know of requests that have become due, a batch at most; what is left then is
    /// due in the next pass.
    fn fire(&mut self, driver: &mut impl Driver, now: u64) {
        for _ in 0..BATCH {
            if self.next_due > now || self.next_due >= self.schedule.end {
                return;
            }
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

    /// Connects those again that have paused long enough.
    fn retry(&mut self, driver: &mut impl Driver, now: u64) {
        while self.waiting.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, index)) = self.waiting.pop_front() else { return };
            if self.rules.after != After::Stays {
                self.advance(driver, index, now);
            } else if driver.is_free(index) {
                self.open(driver, index, now);
            } else {
                self.waiting.push_back((now + PAUSE, index));
            }
        }
    }

    /// Ends connections that have been waited for too long.
    fn scan(&mut self, driver: &mut impl Driver, now: u64) {
        if now < self.next_scan {
            return;
        }
        if let Some(pause) = self.pauses.check(Clocks::now()) {
            self.resume(now, pause);
        }
        let timeout = self.rules.timeout;
        self.next_scan = now + SCAN.min(timeout / 4).max(1_000_000);
        for index in 0..self.lines.len() {
            let line = &self.lines[index];
            let (connecting, open) =
                (line.stage == Stage::Connecting, line.stage == Stage::Open && line.flow.waits());
            let shut = line.stage == Stage::Shut;
            let addr = line.addr;
            let since = if connecting { line.since } else { line.flow.progress };
            let since = since.max(self.resumed);
            let waited = Duration::from_nanos(now.saturating_sub(since));
            if now.saturating_sub(since) <= timeout {
                continue;
            }
            if connecting {
                self.ended(driver, index, Ending::ConnectTimeout, || {
                    format!("connect {addr}: no answer within {}", tcpecho::show_duration(waited))
                });
            } else if open || shut {
                let owed = line.flow.owed();
                self.ended(driver, index, Ending::GaveUp, || {
                    format!(
                        "recv {addr}: nothing came for {}; {owed} bytes are owed",
                        tcpecho::show_duration(waited)
                    )
                });
            }
        }
    }
}
