//! The loop: one poll(2) for all targets and the descriptors of the caller, with a timer for what is due next.
//!
//! The timer is a descriptor because poll(2) may exceed its own time limit by a thousandth: a millisecond for a probe that is
//! due in a second (fs/select.c).

use std::{
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFlags, Timespec},
    io::Errno,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create,
        timerfd_settime,
    },
};
use tcpecho_os::pause::{self, Clocks, PauseDetector, thread_time};

use crate::{
    control::{Command, Observer, poll_together},
    event::Pause,
    plan::{Destination, Plan},
    target::{Rules, TOLERANCE, Target},
};

/// Bytes read with one call.
const BUFFER: usize = 64 << 10;
/// A suspension shorter than this is ignored: the shell continued the process at once.
const BRIEF: Duration = Duration::from_millis(10);
/// The longest part of a turn without a look at the caller's commands.
const ROUND: Duration = Duration::from_millis(20);

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All probes have their result, or the deadline has come.
    Done,
    /// The caller ended it.
    Stopped,
    /// This call of the loop failed.
    Failed(&'static str, Errno),
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended.
    pub end: End,
    /// The targets, in the order of their destinations, with counts and times.
    pub targets: Vec<Target>,
    /// How often this process did not run.
    pub pauses: u64,
    /// How long that was in total.
    pub paused: Duration,
}

/// Probes all destinations until all is done, the deadline comes, or the observer stops it.
pub fn probe(plan: &Plan, destinations: Vec<Destination>, observer: &mut dyn Observer) -> Outcome {
    let start = Instant::now();
    let rules = Rules::new(plan, start);
    let new = |destination| Target::new(destination, &rules, start);
    let targets = destinations.into_iter().map(new).collect();
    let outcome = Outcome { end: End::Done, targets, pauses: 0, paused: Duration::ZERO };
    let timer = match Timer::new() {
        Ok(timer) => timer,
        Err(errno) => return Outcome { end: End::Failed("timerfd_create", errno), ..outcome },
    };
    let mut prober = Prober {
        outcome,
        observer,
        deadline: plan.deadline.and_then(|limit| start.checked_add(limit)),
        timer,
        detector: PauseDetector::new(TOLERANCE, Clocks::now()),
        since: start,
        looked: start,
        ran: thread_time(),
        noticed: None,
        buffer: vec![0; BUFFER],
    };
    loop {
        if let Err(end) = prober.turn() {
            prober.finish();
            return Outcome { end, ..prober.outcome };
        }
    }
}

struct Prober<'a> {
    outcome: Outcome,
    observer: &'a mut dyn Observer,
    deadline: Option<Instant>,
    timer: Timer,
    detector: PauseDetector,
    /// When this process was last known to run.
    since: Instant,
    /// When that was last checked, and the processor time that had been used in the turn before.
    looked: Instant,
    ran: Duration,
    /// When the last pause was noticed.
    noticed: Option<Instant>,
    buffer: Vec<u8>,
}

impl Prober<'_> {
    /// Gives each target its turn, and waits. An error is the end.
    fn turn(&mut self) -> Result<(), End> {
        let mut round = Instant::now();
        for index in 0..self.outcome.targets.len() {
            // The process may be stopped anywhere, most likely after a system call.
            self.note_stall();
            let target = self.outcome.targets.get_mut(index);
            let Some(target) = target.filter(|target| !target.is_done()) else { continue };
            target.turn(&mut self.buffer);
            report_events(target, self.observer);
            if round.elapsed() >= ROUND {
                self.obey()?;
                round = Instant::now();
            }
        }
        self.note_stall();
        // Not read again: a stop in between would be missed.
        let now = self.looked;
        let targets = &self.outcome.targets;
        self.observer.turn(targets, now);
        if targets.iter().all(Target::is_done) || self.deadline.is_some_and(|end| end <= now) {
            return Err(End::Done);
        }
        let next = busy(targets).filter_map(Target::deadline).chain(self.deadline);
        let next = next.chain(self.observer.deadline()).min();
        self.timer.set(next).map_err(|errno| End::Failed("timerfd_settime", errno))?;
        let left = next.map(|next| next.saturating_duration_since(now));
        let latest = left.map(|left| Clocks::now().monotonic.saturating_add(left));
        self.detector.expect(latest.unwrap_or(Duration::MAX));
        self.since = now;
        self.wait().map_err(|errno| End::Failed("poll", errno))?;
        // First: limits are postponed before they are checked.
        if let Some(pause) = self.detector.check(Clocks::now()) {
            self.paused(Pause::Noticed(pause));
            self.postpone(pause.stopped);
            self.since = Instant::now();
        }
        // The wait was no stall. Before the signals are read: a stop after that is a stall of the next turn.
        (self.ran, self.looked) = (thread_time(), Instant::now());
        let woken = self.looked;
        self.obey()?;
        self.since = self.since.max(woken);
        Ok(())
    }

    /// Waits until something is ready.
    fn wait(&mut self) -> Result<(), Errno> {
        let timer = std::iter::once((self.timer.fd.as_fd(), PollFlags::IN));
        let ours = timer.chain(busy(&self.outcome.targets).flat_map(Target::watched));
        let ready = poll_together(self.observer, ours, None)?;
        // The timer needs no answer.
        let mut ready = ready.into_iter().skip(1);
        for target in self.outcome.targets.iter_mut().filter(|target| !target.is_done()) {
            target.note_ready(&mut ready);
        }
        Ok(())
    }

    /// Gives every probe its result.
    fn finish(&mut self) {
        for target in &mut self.outcome.targets {
            target.finish(&mut self.buffer);
            report_events(target, self.observer);
        }
    }

    fn paused(&mut self, pause: Pause) {
        self.noticed = Some(Instant::now());
        self.outcome.pauses += 1;
        self.outcome.paused = self.outcome.paused.saturating_add(pause.length());
        self.observer.paused(pause);
    }

    /// Detects a pause within a turn: time that passed without processor time for this thread. Returns whether there was one.
    fn note_stall(&mut self) -> bool {
        let now = Instant::now();
        let taken = now.saturating_duration_since(self.looked);
        self.looked = now;
        let worked = || {
            let ran = thread_time();
            ran.saturating_sub(std::mem::replace(&mut self.ran, ran))
        };
        let Some(pause) = pause::Pause::in_work(taken, TOLERANCE, worked) else { return false };
        self.paused(Pause::Noticed(pause));
        self.postpone(pause.stopped);
        self.since = Instant::now();
        true
    }

    /// Discounts a pause. Probes under way are not timed, and what was due is due later.
    fn postpone(&mut self, late: Duration) {
        // It may have begun earlier.
        let span = self.since.elapsed().max(late);
        for target in self.outcome.targets.iter_mut().filter(|target| !target.is_done()) {
            target.postpone(span, late);
        }
    }

    /// Does what the caller asks for.
    fn obey(&mut self) -> Result<(), End> {
        while let Some(command) = self.observer.next_command() {
            match command {
                Command::Interim => self.observer.interim(&self.outcome.targets),
                Command::Suspend => self.suspend(),
                Command::Continued => self.resumed(),
                Command::Stop => return Err(End::Stopped),
            }
        }
        Ok(())
    }

    /// Lets the caller suspend this process.
    fn suspend(&mut self) {
        self.note_stall();
        self.since = Instant::now();
        let suspended = self.observer.suspend();
        let span = self.since.elapsed();
        if suspended && span > BRIEF {
            self.paused(Pause::Suspended(span));
            self.postpone(span);
        }
        // This pause is reported already.
        let _ = self.detector.check(Clocks::now());
        self.since = Instant::now();
        self.looked = self.since;
    }

    /// Discounts a stop by others. When it began is not known, unless it was in the middle of a turn: what was due meanwhile is
    /// due later then.
    fn resumed(&mut self) {
        // SIGCONT may be read some time after the stop was noticed, where no processor is free.
        let is_reported = self.noticed.is_some_and(|at| at.elapsed() < TOLERANCE);
        if self.note_stall() || is_reported {
            return;
        }
        let span = self.since.elapsed();
        if span > BRIEF {
            self.paused(Pause::Stopped(span));
            self.postpone(Duration::ZERO);
        }
        self.since = Instant::now();
    }
}

/// Returns the targets that are not done.
fn busy(targets: &[Target]) -> impl Iterator<Item = &Target> {
    targets.iter().filter(|target| !target.is_done())
}

fn report_events(target: &mut Target, observer: &mut dyn Observer) {
    for event in target.take_events() {
        observer.event(&target.name, &event);
    }
}

/// A descriptor that becomes readable at a set time, to the microsecond.
struct Timer {
    fd: OwnedFd,
    set: Option<Instant>,
}

impl Timer {
    fn new() -> Result<Self, Errno> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Timer { fd, set: None })
    }

    /// Sets the time, or none.
    fn set(&mut self, at: Option<Instant>) -> Result<(), Errno> {
        if self.set == at {
            return Ok(());
        }
        let left = at.map_or(Duration::ZERO, |at| {
            // Zero would disarm it.
            at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1))
        });
        let value = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
        self.set = at;
        Ok(())
    }
}
