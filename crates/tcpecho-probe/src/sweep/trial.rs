//! A connection and a few probes, one after the other: a step of a sweep.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::event::Timespec;
use tcpecho_os::pause::Clocks;

use super::Stop;
use crate::{
    control::{Command, SweepObserver, poll_together},
    event::Broken,
    link::{Link, LinkOptions, Received},
    payload::{Run, Stamp},
    step::{ProbeResult, Step},
    target::TOLERANCE,
};

/// The most reads before the next look at commands.
const READS: usize = 4;

/// Makes connections and sends probes.
pub(super) struct Trial<'a> {
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) options: &'a LinkOptions,
    pub(super) run: Run,
    pub(super) timeout: Duration,
    pub(super) observer: &'a mut dyn SweepObserver,
    pub(super) deadline: Option<Instant>,
    pub(super) origin: Instant,
    pub(super) seq: u64,
    pub(super) buffer: Vec<u8>,
}

impl Trial<'_> {
    /// Makes a new connection for probes of this size.
    pub(super) fn connect(&mut self, size: usize) -> Result<Link, Stop> {
        let now = Instant::now();
        let mut link = Link::open(self.addrs.clone(), self.options, self.run, size, now)
            .map_err(Stop::Unconnected)?;
        loop {
            if link.proceed(self.options, Instant::now()).map_err(Stop::Unconnected)? {
                return Ok(link);
            }
            let deadline = link.deadline();
            self.wait(&mut link, deadline)?;
        }
    }

    /// Sends a probe, and waits for the result.
    pub(super) fn probe(&mut self, link: &mut Link) -> Result<ProbeResult, Stop> {
        self.seq += 1;
        let (seq, due) = (self.seq, Instant::now());
        let since = due.saturating_duration_since(self.origin).as_nanos();
        link.add(Stamp { seq, due_ns: u64::try_from(since).unwrap_or(u64::MAX) }, due);
        let end = due.checked_add(self.timeout);
        // Earlier retransmissions are not this probe's.
        let _ = link.kernel();
        loop {
            let mut arrived = Vec::new();
            let sent = link.send();
            let received = link.receive(&mut self.buffer, &mut arrived, &mut { READS });
            match arrived.as_slice() {
                [] => {}
                [Received::Whole { seq: whole, at, .. }] if *whole == seq => {
                    let retransmits = link.kernel().map_or(0, |kernel| kernel.retransmits);
                    let time = at.saturating_duration_since(due);
                    return Ok(ProbeResult::Answered { time, retransmits });
                }
                // Including anything after a whole answer.
                [..] => return Ok(ProbeResult::Changed),
            }
            // The read knows better why it ended.
            if let Some(broken) = received.err().or(sent.err()) {
                return Ok(ProbeResult::Ended(broken));
            }
            if end.is_some_and(|end| end <= Instant::now()) {
                let flight = link.miss();
                let acknowledged = flight.and_then(|flight| link.has_acknowledged(&flight));
                let retransmits = link.kernel().map_or(0, |kernel| kernel.retransmits);
                return Ok(ProbeResult::Silence { acknowledged, retransmits });
            }
            self.wait(link, end)?;
        }
    }

    /// Sends nothing for this time. Returns for how long, which is longer if this process was paused, and the end of the
    /// connection if that came first.
    pub(super) fn rest(
        &mut self,
        link: &mut Link,
        span: Duration,
    ) -> Result<(Duration, Option<Broken>), Stop> {
        // A suspended machine is idle too.
        let (start, begun) = (Instant::now(), Clocks::now().boottime);
        let rested = || Clocks::now().boottime.saturating_sub(begun);
        let end = start.checked_add(span);
        while end.is_some_and(|end| Instant::now() < end) {
            self.wait(link, end)?;
            // What a server sends unasked is not an answer.
            if let Err(broken) = link.receive(&mut self.buffer, &mut Vec::new(), &mut { READS }) {
                return Ok((rested(), Some(broken)));
            }
        }
        let rested = rested();
        Ok((if rested > span.saturating_add(TOLERANCE) { rested } else { span }, None))
    }

    /// Reports a step.
    pub(super) fn report(&mut self, step: &Step<'_>) -> Result<(), Stop> {
        if self.observer.step(step).is_break() { Err(Stop::Caller) } else { Ok(()) }
    }

    /// Waits until the connection is ready, or until this time.
    fn wait(&mut self, link: &mut Link, until: Option<Instant>) -> Result<(), Stop> {
        let until = until.into_iter().chain(self.deadline).min();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let ready = poll_together(self.observer, link.watched(), left.as_ref())
            .map_err(|errno| Stop::Failed("poll", errno))?;
        link.note_ready(&mut ready.into_iter());
        while let Some(command) = self.observer.next_command() {
            match command {
                Command::Interim | Command::Continued => {}
                Command::Suspend => {
                    let _ = self.observer.suspend();
                }
                Command::Stop => return Err(Stop::Caller),
            }
        }
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Err(Stop::Deadline),
            _ => Ok(()),
        }
    }
}
