//! Detects pauses of this program itself: it was stopped (SIGSTOP, Ctrl-Z), its machine was suspended, or
//! no processor was free for it. What was measured across a pause says nothing about the peer.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A reading of `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME`. Both advance at the same rate, but the monotonic
/// clock stops while the machine is suspended (clock_gettime(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// `CLOCK_MONOTONIC`.
    pub monotonic: Duration,
    /// `CLOCK_BOOTTIME`.
    pub boottime: Duration,
}

impl Clocks {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        let read = |clock| {
            let time = clock_gettime(clock);
            // Neither clock is ever negative.
            Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
        };
        Self { monotonic: read(ClockId::Monotonic), boottime: read(ClockId::Boottime) }
    }
}

/// Returns the processor time that the calling thread has used.
#[must_use]
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A time in which this program did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// How long its timer was late, on the monotonic clock.
    pub stopped: Duration,
    /// How long the machine was suspended: time that the monotonic clock does not count.
    pub suspended: Duration,
}

impl Pause {
    /// Returns the pause within work that took this long, if it is more than the tolerance. `worked` returns how much of that a
    /// processor worked, and is only called if it matters.
    pub fn in_work(
        taken: Duration,
        tolerance: Duration,
        worked: impl FnOnce() -> Duration,
    ) -> Option<Self> {
        if taken <= tolerance {
            return None;
        }
        let stopped = taken.saturating_sub(worked());
        (stopped > tolerance).then_some(Pause { stopped, suspended: Duration::ZERO })
    }

    /// Returns the whole length of the pause.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.stopped.saturating_add(self.suspended)
    }
}

/// Compares when a loop was back with when it wanted to be back.
///
/// Before each wait the loop calls [`PauseDetector::expect`] with the latest time at which it will be
/// back, and after the wait [`PauseDetector::check`]. After a check the next one is expected immediately,
/// unless `expect` is called before it: a long turn can check several times, and notice where it was stopped.
#[derive(Debug)]
pub struct PauseDetector {
    tolerance: Duration,
    /// When the next check is due at the latest, on the monotonic clock.
    expected: Duration,
    /// When the last check was.
    checked: Duration,
    /// How far the boot time clock is ahead of the monotonic one: the total of all suspensions so far.
    suspended: Duration,
}

impl PauseDetector {
    /// Creates a detector for a loop that is paused when it is late by more than `tolerance`.
    #[must_use]
    pub fn new(tolerance: Duration, now: Clocks) -> Self {
        Self {
            tolerance,
            expected: now.monotonic,
            checked: now.monotonic,
            suspended: suspended(now),
        }
    }

    /// Notes that the loop waits now, until `latest` on the monotonic clock at the latest. A wait that is over
    /// already counts from the last check: no time is counted twice.
    pub fn expect(&mut self, latest: Duration) {
        self.expected = latest.max(self.checked);
    }

    /// Returns the pause since the last check or [`PauseDetector::expect`], if there was one.
    pub fn check(&mut self, now: Clocks) -> Option<Pause> {
        let suspended = suspended(now);
        let since = suspended.saturating_sub(std::mem::replace(&mut self.suspended, suspended));
        let late = self.late(now.monotonic);
        // The two clocks are not read at the same instant: below the tolerance the difference is noise.
        let since = if since > self.tolerance { since } else { Duration::ZERO };
        (late.is_some() || !since.is_zero())
            .then(|| Pause { stopped: late.unwrap_or_default(), suspended: since })
    }

    /// Returns how late the loop is if that is more than the tolerance. Reads no clock and does not look for a
    /// suspension.
    pub fn late(&mut self, monotonic: Duration) -> Option<Duration> {
        let expected = std::mem::replace(&mut self.expected, monotonic);
        self.checked = monotonic;
        Some(monotonic.saturating_sub(expected)).filter(|late| *late > self.tolerance)
    }
}

fn suspended(now: Clocks) -> Duration {
    now.boottime.saturating_sub(now.monotonic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// The clocks of a machine that had been suspended for 90 s before.
    fn at(monotonic: u64, suspended: u64) -> Clocks {
        Clocks { monotonic: ms(monotonic), boottime: ms(monotonic + 90_000 + suspended) }
    }

    #[test]
    fn work_is_no_pause_and_standing_still_in_it_is() {
        let pause = |taken, worked| Pause::in_work(ms(taken), ms(250), || ms(worked));
        assert_eq!(pause(10_000, 9_800), None);
        assert_eq!(pause(250, 0), None);
        let asks_nobody = || panic!("so little is no pause, whatever the processor did");
        assert_eq!(Pause::in_work(ms(250), ms(250), asks_nobody), None);
        assert_eq!(pause(251, 0), Some(Pause { stopped: ms(251), suspended: ms(0) }));
        assert_eq!(pause(5_000, 1_000), Some(Pause { stopped: ms(4_000), suspended: ms(0) }));
        // The clocks are not read at the same instant.
        assert_eq!(pause(100, 101), None);
    }

    #[test]
    fn a_late_timer_is_a_pause_and_an_early_event_is_not() {
        let mut detector = PauseDetector::new(ms(200), at(1_000, 0));
        assert_eq!(detector.check(at(1_200, 0)), None);
        detector.expect(ms(5_250));
        assert_eq!(detector.check(at(5_001, 0)), None);
        detector.expect(ms(5_250));
        assert_eq!(detector.check(at(5_450, 0)), None);
        detector.expect(ms(5_700));
        let pause = detector.check(at(9_700, 0)).unwrap();
        assert_eq!(pause, Pause { stopped: ms(4_000), suspended: ms(0) });
        // It is reported once.
        assert_eq!(detector.check(at(9_800, 0)), None);
        // The turn goes on without a wait, and is stopped in the middle.
        assert_eq!(detector.check(at(9_900, 0)), None);
        assert_eq!(detector.late(ms(10_900)), Some(ms(1_000)));
        // What the loop does between its last check and its next wait is not counted.
        detector.expect(ms(20_000));
        assert_eq!(detector.check(at(20_100, 0)), None);
        // A wait that should have been over before the last check.
        detector.expect(ms(12_000));
        assert_eq!(detector.check(at(20_150, 0)), None);
    }

    #[test]
    fn a_suspended_machine_shows_in_the_boot_time_clock_alone() {
        let mut detector = PauseDetector::new(ms(200), at(1_000, 0));
        detector.expect(ms(1_250));
        let pause = detector.check(at(1_240, 7_000)).unwrap();
        assert_eq!(pause, Pause { stopped: ms(0), suspended: ms(7_000) });
        detector.expect(ms(1_500));
        assert_eq!(detector.check(at(1_500, 7_000)), None);
        // The clocks are read one after the other.
        detector.expect(ms(1_750));
        assert_eq!(detector.check(at(1_750, 7_001)), None);
    }

    #[test]
    fn the_real_clocks_run() {
        let now = Clocks::now();
        assert!(now.boottime >= now.monotonic);
        let mut detector = PauseDetector::new(ms(0), now);
        detector.expect(now.monotonic);
        while Clocks::now().monotonic == now.monotonic {}
        assert!(detector.late(Clocks::now().monotonic).is_some());
    }
}
