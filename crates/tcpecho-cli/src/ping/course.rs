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
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create,
        timerfd_settime,
    },
};

use super::{target::Target, tell::Teller};
use crate::{
    output::{OutputBuffer, Unwritten},
    signals::Signals,
};

/// What is read at once.
const BUFFER: usize = 256 << 10;

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
    let mut buffer = vec![0; BUFFER];
    let mut timer = match Timer::new() {
        Ok(timer) => timer,
        Err(errno) => return End::Failed("timerfd_create", errno),
    };
    loop {
        for target in targets.iter_mut().filter(|target| !target.is_done()) {
            target.turn(&mut buffer);
            for event in std::mem::take(&mut target.events) {
                teller.tell(&target.name, &event, paper);
            }
        }
        let now = Instant::now();
        teller.redraw(targets, now, paper);
        if targets.iter().all(Target::is_done) || deadline.is_some_and(|end| end <= now) {
            return End::Done;
        }
        let next = targets.iter().filter(|target| !target.is_done()).filter_map(Target::deadline);
        let next = next.chain(deadline).chain(teller.next_drawing()).min();
        if let Err(errno) = timer.set(next) {
            return End::Failed("timerfd_settime", errno);
        }
        match wait(targets, signals, paper, &timer) {
            Ok(true) => paper.on_ready(),
            Ok(false) => {}
            Err(errno) => return End::Failed("poll", errno),
        }
        if let Err(why) = paper.check() {
            return End::Unwritten(why);
        }
        while let Some(signal) = signals.next() {
            match signal {
                Signal::SIGQUIT => teller.interim(targets),
                Signal::SIGWINCH => teller.resized(),
                _ => return End::Signal(signal),
            }
        }
    }
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
        let count = target.links();
        target.note_ready(links.by_ref().take(count));
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
