//! The clocks of a run, in nanoseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::Timespec;
use rustix::time::{ClockId, clock_gettime};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// Reads `CLOCK_MONOTONIC`. All times of a run are on this clock.
pub(crate) fn now() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// Returns the processor time of the calling thread.
pub(crate) fn thread_time() -> u64 {
    nanos(clock_gettime(ClockId::ThreadCPUTime))
}

/// Converts a wall-clock time to the monotonic clock.
pub(crate) fn moment_of(wall: SystemTime) -> u64 {
    let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let distance = i64::try_from(wall as i128 - here as i128).unwrap_or_default();
    now().saturating_add_signed(distance)
}

fn nanos(time: Timespec) -> u64 {
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// Returns the time from `from` to `to` as a timeout; 0 if `to` is in the past.
pub(crate) fn until(from: u64, to: u64) -> Timespec {
    let left = Duration::from_nanos(to.saturating_sub(from));
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
}
