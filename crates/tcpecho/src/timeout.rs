//! Deadlines as the timeouts that calls take.

use std::time::{Duration, Instant};

use rustix::event::Timespec;

/// The time that is left until `deadline`, for a call that takes it so.
pub(crate) fn until(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(1 << 20));
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
}
