//! One connection and a few probes, waited for one after the other: what a sweep is made of.

use std::{
    net::SocketAddr,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tcpecho::Attempt;
use tcpecho_os::pause::Clocks;

use super::super::{
    event::Broken,
    link::{Brought, Link, Way},
    probe::{Run, Stamp},
    target::TOLERANCE,
};
use crate::signals::Signals;

/// Reads in one turn; then signals have theirs.
const READS: usize = 4;

/// What became of a probe.
#[derive(Debug)]
pub(super) enum Fate {
    /// It came back whole.
    Back { time: Duration, retransmits: u32 },
    /// Nothing came in time.
    Silence { acknowledged: Option<bool>, retransmits: u32 },
    /// Something else came back.
    Changed,
    /// The connection ended.
    Ended(Broken),
}

/// Why a sweep cannot go on.
#[derive(Debug)]
pub(super) enum Stop {
    Signal(Signal),
    /// The user's own deadline.
    Deadline,
    Unconnected(Vec<Attempt>),
    /// Stdout takes nothing any more.
    Unwritten,
    Failed(&'static str, Errno),
}

/// How trials are made.
pub(super) struct Trial<'a> {
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) way: &'a Way,
    pub(super) run: Run,
    pub(super) timeout: Duration,
    pub(super) signals: &'a Signals,
    pub(super) deadline: Option<Instant>,
    pub(super) origin: Instant,
    pub(super) seq: u64,
    pub(super) buffer: Vec<u8>,
}

impl Trial<'_> {
    /// A new connection for probes of this size.
    pub(super) fn connect(&mut self, size: usize) -> Result<Link, Stop> {
        let now = Instant::now();
        let mut link = Link::open(self.addrs.clone(), self.way, self.run, size, now)
            .map_err(Stop::Unconnected)?;
        loop {
            if link.proceed(self.way, Instant::now()).map_err(Stop::Unconnected)? {
                return Ok(link);
            }
            let deadline = link.deadline();
            self.wait(&mut link, deadline)?;
        }
    }

    /// Sends a probe and waits for what becomes of it.
    pub(super) fn probe(&mut self, link: &mut Link) -> Result<Fate, Stop> {
        self.seq += 1;
        let (seq, due) = (self.seq, Instant::now());
        let since = due.saturating_duration_since(self.origin).as_nanos();
        link.add(Stamp { seq, due_ns: u64::try_from(since).unwrap_or(u64::MAX) }, due);
        let end = due.checked_add(self.timeout);
        // What was sent again before is not this probe's.
        let _ = link.kernel();
        loop {
            let mut brought = Vec::new();
            let sent = link.send();
            let received = link.receive(&mut self.buffer, &mut brought, &mut { READS });
            match brought.as_slice() {
                [] => {}
                [Brought::Whole { seq: whole, at, .. }] if *whole == seq => {
                    let retransmits = link.kernel().map_or(0, |kernel| kernel.retransmits);
                    let time = at.saturating_duration_since(due);
                    return Ok(Fate::Back { time, retransmits });
                }
                // Also what came behind a whole answer.
                [..] => return Ok(Fate::Changed),
            }
            // Reading knows better why it ended.
            if let Some(broken) = received.err().or(sent.err()) {
                return Ok(Fate::Ended(broken));
            }
            if end.is_some_and(|end| end <= Instant::now()) {
                let flight = link.miss();
                let acknowledged = flight.and_then(|flight| link.has_acknowledged(&flight));
                let retransmits = link.kernel().map_or(0, |kernel| kernel.retransmits);
                return Ok(Fate::Silence { acknowledged, retransmits });
            }
            self.wait(link, end)?;
        }
    }

    /// Says nothing for so long, or longer where this program did not run meanwhile: for how long. If the end of the
    /// connection comes first, that too.
    pub(super) fn rest(
        &mut self,
        link: &mut Link,
        span: Duration,
    ) -> Result<(Duration, Option<Broken>), Stop> {
        // A machine that is suspended is idle too.
        let (start, begun) = (Instant::now(), Clocks::now().boottime);
        let rested = || Clocks::now().boottime.saturating_sub(begun);
        let end = start.checked_add(span);
        while end.is_some_and(|end| Instant::now() < end) {
            self.wait(link, end)?;
            // Whatever a server says of its own accord is not idle, but nor is it an answer.
            if let Err(broken) = link.receive(&mut self.buffer, &mut Vec::new(), &mut { READS }) {
                return Ok((rested(), Some(broken)));
            }
        }
        let rested = rested();
        Ok((if rested > span.saturating_add(TOLERANCE) { rested } else { span }, None))
    }

    /// Until the connection has something to say, or the time has come.
    fn wait(&self, link: &mut Link, until: Option<Instant>) -> Result<(), Stop> {
        let until = until.into_iter().chain(self.deadline).min();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let signals = self.signals.as_fd();
        let mut watched = vec![PollFd::new(&signals, PollFlags::IN)];
        let of_link = link.watched();
        watched.extend(of_link.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
        match poll(&mut watched, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Stop::Failed("poll", errno)),
        }
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        link.note_ready(&mut ready.into_iter().skip(1));
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::SIGQUIT | Signal::SIGWINCH | Signal::SIGCONT => {}
                Signal::SIGTSTP => {
                    let _ = Signals::suspend();
                }
                signal => return Err(Stop::Signal(signal)),
            }
        }
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Err(Stop::Deadline),
            _ => Ok(()),
        }
    }
}
