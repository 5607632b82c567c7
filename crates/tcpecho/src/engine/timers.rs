//! The timers of an event loop: idle limits, and the steps of a lingering close.

use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use crate::{
    Ending,
    lingering_close::{LINGER, quiet_in, sent_ago},
    phase::Phase,
    shared::Shared,
};

/// How often a draining loop looks at its sessions.
const DRAIN_TICK: Duration = Duration::from_millis(10);

/// What a session is doing, as far as timers are concerned.
pub(super) enum Activity {
    /// Waiting for data from the peer.
    Idle,
    /// Bytes are pending.
    Flushing,
    /// Our FIN is out, since this time of the loop's clock, in milliseconds.
    Lingering(u32),
}

/// What to do with a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stay,
    /// Send our FIN, then wait a moment for the peer's.
    Linger(Ending),
    /// Abort although bytes are pending.
    Abort(Ending),
    /// The time for the peer's FIN is over.
    Close,
}

/// The clock of a loop, and when it must next look at its sessions. With no idle limit and no drain, never.
pub(super) struct Timers {
    origin: Instant,
    idle_ms: Option<u32>,
    /// The time of the next check, and of the last wait, in milliseconds since the server started.
    next: Option<u64>,
    now: u64,
    phase: Phase,
}

impl Timers {
    pub(super) fn new(shared: &Shared) -> Self {
        let idle_ms = shared
            .idle_timeout
            .map(|idle| u32::try_from(idle.as_millis()).unwrap_or(u32::MAX).max(1));
        Timers { origin: shared.origin, idle_ms, next: None, now: 0, phase: Phase::Serving }
    }

    /// Reads the clock, if a timer needs it.
    pub(super) fn tick(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.next = Some(0);
        }
        if self.idle_ms.is_some() || self.next.is_some() {
            self.now = self.origin.elapsed().as_millis() as u64;
        }
    }

    /// The time for a session to keep; wraps after 49 days.
    pub(super) fn stamp(&self) -> u32 {
        self.now as u32
    }

    /// When to look next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.map(|next| self.origin + Duration::from_millis(next))
    }

    /// Returns whether to check all sessions; the caller passes each to [`Timers::judge`].
    pub(super) fn due(&mut self) -> bool {
        self.next.take_if(|next| *next <= self.now).is_some()
    }

    /// Look after `delay` at the latest.
    pub(super) fn look_in(&mut self, delay: Duration) {
        let then = self.now + delay.as_millis() as u64;
        self.next = Some(self.next.map_or(then, |next| next.min(then)));
    }

    /// A session has begun.
    pub(super) fn began(&mut self) {
        // A drain looks at sessions only while there are some; this one may be the first again.
        if self.phase != Phase::Serving {
            self.look_in(DRAIN_TICK);
        }
        if let Some(idle) = self.idle_ms {
            self.look_in(Duration::from_millis(u64::from(idle)));
        }
    }

    /// Returns what to do with a session that last sent or received a byte at `stamp`.
    pub(super) fn judge(&mut self, fd: BorrowedFd<'_>, stamp: u32, activity: &Activity) -> Verdict {
        if let Activity::Lingering(since) = activity {
            return self.after(*since, LINGER.as_millis() as u32, Verdict::Close);
        }
        if self.phase != Phase::Serving {
            self.look_in(DRAIN_TICK);
            if matches!(activity, Activity::Idle) && quiet_in(fd).is_zero() {
                return Verdict::Linger(Ending::Draining);
            }
        }
        let Some(idle) = self.idle_ms else { return Verdict::Stay };
        match activity {
            // A slow reader takes the rest bit by bit, and only the kernel knows when it last did.
            Activity::Flushing => match self.after(stamp, idle, Verdict::Abort(Ending::Idle)) {
                Verdict::Stay => Verdict::Stay,
                abort => self.within(sent_ago(fd), idle, abort),
            },
            _ => self.after(stamp, idle, Verdict::Linger(Ending::Idle)),
        }
    }

    fn after(&mut self, since: u32, limit: u32, verdict: Verdict) -> Verdict {
        self.within(self.stamp().wrapping_sub(since), limit, verdict)
    }

    fn within(&mut self, elapsed: u32, limit: u32, verdict: Verdict) -> Verdict {
        if elapsed >= limit {
            return verdict;
        }
        self.look_in(Duration::from_millis(u64::from(limit - elapsed)));
        Verdict::Stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::Sessions;

    #[test]
    fn a_session_that_begins_during_a_drain_is_looked_at() {
        let mut timers = Timers {
            origin: Instant::now(),
            idle_ms: None,
            next: None,
            now: 0,
            phase: Phase::Serving,
        };
        timers.began();
        assert!(timers.deadline().is_none());
        // All sessions have ended: nothing is to be looked at any more.
        timers.tick(Phase::Draining);
        assert!(timers.due() && timers.deadline().is_none());
        timers.began();
        assert!(timers.deadline().is_some());
    }

    #[test]
    fn an_idle_limit_is_looked_at_when_it_is_over_and_not_later() {
        let idle = Duration::from_millis(200);
        let shared = Shared::new(1, 1, Some(idle), None, Sessions::new(0)).unwrap();
        let mut timers = Timers::new(&shared);
        timers.tick(Phase::Serving);
        timers.began();
        let looks = timers.deadline().unwrap();
        assert!(looks >= shared.origin + idle, "too early");
        assert!(looks <= Instant::now() + idle, "too late");
        let (client, server) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(client);
        let fd = std::os::fd::AsFd::as_fd(&server);
        let begun = timers.stamp();
        timers.now += 199;
        assert_eq!(timers.judge(fd, begun, &Activity::Idle), Verdict::Stay);
        timers.now += 1;
        assert_eq!(timers.judge(fd, begun, &Activity::Idle), Verdict::Linger(Ending::Idle));
    }
}
