//! What the loops need from their caller.

use std::{ops::ControlFlow, os::fd::BorrowedFd, time::Instant};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    event::{Event, Pause},
    step::Step,
    target::Target,
};

/// What the caller asks of a running loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// End the run.
    Stop,
    /// Call [`Control::suspend`] and discount the time that it takes.
    Suspend,
    /// Discount a pause that has ended: the process was stopped by others and has received SIGCONT.
    Continued,
    /// Call [`Observer::interim`]. A sweep ignores it.
    Interim,
}

/// The caller's descriptors and commands.
pub trait Control {
    /// Returns descriptors to poll together with those of the loop, and the events to poll for.
    fn watched(&self) -> Vec<(BorrowedFd<'_>, PollFlags)>;

    /// Takes what poll(2) reported of these descriptors, in their order: whether each has an event.
    fn on_ready(&mut self, ready: &[bool]);

    /// Returns the next command, if there is one. The loop calls it until there is none.
    fn next_command(&mut self) -> Option<Command>;

    /// Suspends this process, and returns when it continues. Returns whether it was suspended.
    fn suspend(&mut self) -> bool;
}

/// Receives what happens while targets are probed.
pub trait Observer: Control {
    /// Takes an event of the target with this name.
    fn event(&mut self, target: &str, event: &Event);

    /// Takes a pause of this process. Probes under way are not timed.
    fn paused(&mut self, pause: Pause);

    /// Takes the state of all targets after each turn of the loop.
    fn turn(&mut self, targets: &[Target], now: Instant);

    /// Takes the state of all targets on [`Command::Interim`].
    fn interim(&mut self, targets: &[Target]);

    /// Returns when the next turn is wanted although nothing has happened.
    fn deadline(&self) -> Option<Instant>;
}

/// Receives the steps of a sweep.
pub trait SweepObserver: Control {
    /// Takes a step. `Break` ends the sweep as [`Command::Stop`] does.
    fn step(&mut self, step: &Step<'_>) -> ControlFlow<()>;
}

/// Polls the caller's descriptors together with ours, and gives the caller its events. Returns for each of ours whether it
/// has an event; an interrupted poll(2) reports none.
pub(crate) fn poll_together<'fd, C: Control + ?Sized>(
    caller: &mut C,
    ours: impl Iterator<Item = (BorrowedFd<'fd>, PollFlags)>,
    timeout: Option<&Timespec>,
) -> Result<Vec<bool>, Errno> {
    let poll_fd = |(fd, flags)| PollFd::from_borrowed_fd(fd, flags);
    let mut watched: Vec<PollFd<'_>> = caller.watched().into_iter().map(poll_fd).collect();
    let count = watched.len();
    watched.extend(ours.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
    match poll(&mut watched, timeout) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno),
    }
    let mut theirs: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
    drop(watched);
    let ours = theirs.split_off(count);
    caller.on_ready(&theirs);
    Ok(ours)
}
