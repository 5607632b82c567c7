//! The loop: all targets, signals and standard output in one poll(2), with a timer for when the next of them has
//! something to do.
//!
//! The timer is a descriptor because poll's own time limit is late by up to a thousandth of itself: a millisecond for a
//! probe that is due in a second (fs/select.c).

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    time::{
        ClockId, DynamicClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags,
        clock_gettime_dynamic, timerfd_create, timerfd_settime,
    },
};
use tcpecho_os::pause::{Clocks, Pause, PauseDetector};

use super::{
    target::{TOLERANCE, Target},
    tell::Teller,
};
use crate::{
    output::{OutputBuffer, Unwritten},
    signals::Signals,
};

/// What is read at once.
const BUFFER: usize = 64 << 10;
/// A stop that is known of and shorter than this did not happen: the shell let this program go on at once.
const BRIEF: Duration = Duration::from_millis(10);
/// After so long in one round over all targets, signals are looked at.
const ROUND: Duration = Duration::from_millis(20);

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All is done, or the time is over.
    Done,
    Signal(Signal),
    /// Stdout takes nothing any more.
    Unwritten(Unwritten),
    /// The loop itself failed.
    Failed(&'static str, Errno),
}

/// Probes until all is done.
pub(super) fn run(
    targets: &mut [Target],
    signals: &Signals,
    paper: &mut OutputBuffer,
    teller: &mut Teller<'_>,
    deadline: Option<Instant>,
) -> End {
    let timer = match Timer::new() {
        Ok(timer) => timer,
        Err(errno) => return End::Failed("timerfd_create", errno),
    };
    let pauses = PauseDetector::new(TOLERANCE, Clocks::now());
    let (buffer, since) = (vec![0; BUFFER], Instant::now());
    let (looked, ran) = (since, processor_time());
    let mut course =
        Course { targets, signals, paper, teller, timer, pauses, since, looked, ran, buffer };
    loop {
        if let Err(end) = course.turn(deadline) {
            return end;
        }
    }
}

struct Course<'a, 'b> {
    targets: &'a mut [Target],
    signals: &'a Signals,
    paper: &'a mut OutputBuffer,
    teller: &'a mut Teller<'b>,
    timer: Timer,
    pauses: PauseDetector,
    /// When this program was last known to run.
    since: Instant,
    /// When it was last looked whether it did, and the processor time that it had used in a round before.
    looked: Instant,
    ran: Duration,
    buffer: Vec<u8>,
}

impl Course<'_, '_> {
    /// A round over all targets, and a wait. An error is the end.
    fn turn(&mut self, deadline: Option<Instant>) -> Result<(), End> {
        let mut round = Instant::now();
        for index in 0..self.targets.len() {
            // One may be stopped anywhere, most likely after a call.
            self.note_stall();
            let Some(target) = self.targets.get_mut(index).filter(|target| !target.is_done())
            else {
                continue;
            };
            target.turn(&mut self.buffer);
            for event in std::mem::take(&mut target.events) {
                self.teller.tell(&target.name, &event, self.paper);
            }
            if round.elapsed() >= ROUND {
                self.take_signals()?;
                round = Instant::now();
            }
        }
        self.note_stall();
        let now = Instant::now();
        self.teller.redraw(self.targets, now, self.paper);
        if self.targets.iter().all(Target::is_done) || deadline.is_some_and(|end| end <= now) {
            return Err(End::Done);
        }
        let busy = self.targets.iter().filter(|target| !target.is_done());
        let next = busy.filter_map(Target::deadline).chain(deadline);
        let next = next.chain(self.teller.next_drawing()).min();
        self.timer.set(next).map_err(|errno| End::Failed("timerfd_settime", errno))?;
        let left = next.map(|next| next.saturating_duration_since(now));
        let latest = left.map(|left| Clocks::now().monotonic.saturating_add(left));
        self.pauses.expect(latest.unwrap_or(Duration::MAX));
        self.since = now;
        match wait(self.targets, self.signals, self.paper, &self.timer) {
            Ok(true) => self.paper.on_ready(),
            Ok(false) => {}
            Err(errno) => return Err(End::Failed("poll", errno)),
        }
        // Before what has come is judged.
        if let Some(pause) = self.pauses.check(Clocks::now()) {
            self.teller.paused(pause.length(), &pause_words(pause), self.paper);
            self.postpone(pause.stopped);
            self.since = Instant::now();
        }
        self.paper.check().map_err(End::Unwritten)?;
        self.take_signals()?;
        self.since = Instant::now();
        (self.ran, self.looked) = (processor_time(), self.since);
        Ok(())
    }

    /// Looks whether this program did not run since it last looked, in the middle of its work: what a processor did for it
    /// is no pause.
    fn note_stall(&mut self) {
        let taken = self.looked.elapsed();
        self.looked = Instant::now();
        let worked = || {
            let ran = processor_time();
            ran.saturating_sub(std::mem::replace(&mut self.ran, ran))
        };
        if let Some(pause) = Pause::in_work(taken, TOLERANCE, worked) {
            self.teller.paused(pause.stopped, &pause_words(pause), self.paper);
            self.postpone(pause.stopped);
            self.since = Instant::now();
        }
    }

    /// What was under way has no time, and what was to be done is done so much later.
    fn postpone(&mut self, late: Duration) {
        // It may have begun before it was noticed.
        let span = self.since.elapsed().max(late);
        for target in self.targets.iter_mut().filter(|target| !target.is_done()) {
            target.postpone(span, late);
        }
    }

    fn take_signals(&mut self) -> Result<(), End> {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::SIGQUIT => self.teller.interim(self.targets),
                Signal::SIGWINCH => self.teller.resized(),
                Signal::SIGTSTP => self.suspend(),
                Signal::SIGCONT => self.resumed(),
                _ => return Err(End::Signal(signal)),
            }
        }
        Ok(())
    }

    /// Ctrl-Z: the terminal is as it was while this program is stopped.
    fn suspend(&mut self) {
        self.teller.leave_screen(self.paper);
        let _ = self.paper.poll_now();
        self.note_stall();
        self.since = Instant::now();
        if Signals::suspend().is_ok() && self.since.elapsed() > BRIEF {
            let span = self.since.elapsed();
            let words =
                format!("this program was stopped for {}", tcpecho::internal::show_duration(span));
            self.teller.paused(span, &words, self.paper);
            self.postpone(span);
        }
        // This pause is told already.
        let _ = self.pauses.check(Clocks::now());
        self.since = Instant::now();
        self.looked = self.since;
        self.teller.enter_screen(self.paper);
    }

    /// Stopped by others: nothing tells since when.
    fn resumed(&mut self) {
        let span = self.since.elapsed();
        if span > BRIEF {
            let words = format!(
                "this program was stopped, for {} at most",
                tcpecho::internal::show_duration(span)
            );
            self.teller.paused(span, &words, self.paper);
            self.postpone(Duration::ZERO);
        }
        self.since = Instant::now();
        self.teller.enter_screen(self.paper);
    }
}

/// What is said of a pause that was noticed by its length alone.
fn pause_words(pause: Pause) -> String {
    let length = tcpecho::internal::show_duration(pause.length());
    if pause.suspended >= pause.stopped {
        format!("this machine was suspended for {length}")
    } else {
        format!("this program did not run for {length} (stopped, or no processor was free)")
    }
}

/// What processors did for this thread.
fn processor_time() -> Duration {
    let clock = DynamicClockId::Known(ClockId::ThreadCPUTime);
    let Ok(time) = clock_gettime_dynamic(clock) else { return Duration::ZERO };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Until something is ready; true if that is standard output.
fn wait(
    targets: &mut [Target],
    signals: &Signals,
    paper: &OutputBuffer,
    timer: &Timer,
) -> Result<bool, Errno> {
    let mut watched = vec![
        PollFd::new(paper, paper.interest()),
        PollFd::new(signals, PollFlags::IN),
        PollFd::new(&timer.fd, PollFlags::IN),
    ];
    let open = targets.iter().filter(|target| !target.is_done()).flat_map(Target::watched);
    watched.extend(open.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
    match poll(&mut watched, None) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(false),
        Err(errno) => return Err(errno),
    }
    let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
    let mut links = ready.iter().skip(3).copied();
    for target in targets.iter_mut().filter(|target| !target.is_done()) {
        target.note_ready(&mut links);
    }
    Ok(ready.first() == Some(&true))
}

/// A descriptor that is readable from some moment on, to the microsecond.
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

    /// Readable from then on, or not at all.
    fn set(&mut self, at: Option<Instant>) -> Result<(), Errno> {
        if self.set == at {
            return Ok(());
        }
        let left = at.map_or(Duration::ZERO, |at| {
            // Nothing at all would switch it off.
            at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1))
        });
        // A time that is out of range is out of anybody's patience too.
        let value = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
        self.set = at;
        Ok(())
    }
}
