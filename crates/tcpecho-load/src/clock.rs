//! The clocks of a run, in nanoseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::Timespec;
use rustix::time::{ClockId, clock_gettime};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// Reads `CLOCK_MONOTONIC`. All times of a run are on this clock.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// Returns the processor time of the calling thread.
pub(crate) fn thread_time() -> u64 {
    nanos(tcpecho_os::pause::thread_time())
}

/// Converts a wall-clock time to the monotonic clock.
pub(crate) fn moment_of(wall: SystemTime) -> u64 {
    let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let distance = i64::try_from(wall as i128 - here as i128).unwrap_or_default();
    now().saturating_add_signed(distance)
}

/// Converts to nanoseconds; what is too long is as long as possible.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the time from `from` to `to` as a timeout; 0 if `to` is in the past.
pub(crate) fn until(from: u64, to: u64) -> Timespec {
    let left = Duration::from_nanos(to.saturating_sub(from));
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
}
