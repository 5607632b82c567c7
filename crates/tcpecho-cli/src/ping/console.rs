//! The observer of the prober: stdout and signals.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use nix::sys::signal::Signal;
use rustix::event::PollFlags;
use tcpecho_probe::{Command, Control, Event, Observer, Pause, Target};

use super::{page::Record, printer::Printer};
use crate::{
    output::{OutputBuffer, Unwritten},
    signals::Signals,
};

/// Why the run was stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    Signal(Signal),
    /// Stdout cannot be written any more.
    Unwritten(Unwritten),
}

/// Prints events, and turns signals into commands.
pub(super) struct Console<'a, 'p> {
    signals: &'a Signals,
    output: &'a mut OutputBuffer,
    pub(super) printer: Printer<'p>,
    pub(super) stopped: Option<Stopped>,
    /// What the page of --html needs.
    pub(super) record: Option<Record>,
}

impl<'a, 'p> Console<'a, 'p> {
    pub(super) fn new(
        signals: &'a Signals,
        output: &'a mut OutputBuffer,
        printer: Printer<'p>,
        record: Option<Record>,
    ) -> Self {
        Console { signals, output, printer, stopped: None, record }
    }

    fn stop(&mut self, why: Stopped) -> Command {
        self.stopped = Some(why);
        Command::Stop
    }

    /// Whether nobody reads what is printed.
    fn is_unread(&self) -> bool {
        matches!(self.stopped, Some(Stopped::Unwritten(_) | Stopped::Signal(Signal::SIGPIPE)))
    }
}

impl Control for Console<'_, '_> {
    fn watched(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        vec![(self.output.as_fd(), self.output.interest()), (self.signals.as_fd(), PollFlags::IN)]
    }

    fn on_ready(&mut self, ready: &[bool]) {
        if ready.first() == Some(&true) {
            self.output.on_ready();
        }
    }

    fn next_command(&mut self) -> Option<Command> {
        if let Err(why) = self.output.check() {
            return Some(self.stop(Stopped::Unwritten(why)));
        }
        loop {
            match self.signals.next()? {
                Signal::SIGWINCH => self.printer.resized(),
                Signal::SIGQUIT => return Some(Command::Interim),
                Signal::SIGTSTP => return Some(Command::Suspend),
                Signal::SIGCONT => {
                    self.printer.enter_screen(self.output);
                    return Some(Command::Continued);
                }
                signal => return Some(self.stop(Stopped::Signal(signal))),
            }
        }
    }

    /// Gives the terminal back while this program is stopped.
    fn suspend(&mut self) -> bool {
        self.printer.leave_screen(self.output);
        let _ = self.output.poll_now();
        let suspended = Signals::suspend().is_ok();
        self.printer.enter_screen(self.output);
        suspended
    }
}

impl Observer for Console<'_, '_> {
    fn event(&mut self, target: &str, event: &Event) {
        if let Some(record) = &mut self.record {
            record.take(target, event);
        }
        if !self.is_unread() {
            self.printer.tell(target, event, self.output);
        }
    }

    fn paused(&mut self, pause: Pause) {
        self.printer.paused(pause, self.output);
    }

    fn turn(&mut self, targets: &[Target], now: Instant) {
        self.printer.redraw(targets, now, self.output);
    }

    fn interim(&mut self, targets: &[Target]) {
        self.printer.interim(targets);
    }

    fn deadline(&self) -> Option<Instant> {
        self.printer.next_drawing()
    }
}
