//! Polls what the kernel has no event for.

use std::time::{Duration, Instant};

/// Looks at intervals of one millisecond, or of four times as long as a look takes, so that looking
/// does not keep others from running.
#[derive(Debug)]
pub(crate) struct Glances {
    begun: Instant,
    end: Instant,
}

impl Glances {
    /// The first look is due now, the last when `patience` has passed.
    pub(crate) fn within(patience: Duration) -> Self {
        let begun = Instant::now();
        Glances { begun, end: begun + patience }
    }

    /// Waits until the next look is due; `false` if there is no time left.
    pub(crate) fn again(&mut self) -> bool {
        let now = Instant::now();
        if now > self.end {
            return false;
        }
        let pause = (now - self.begun) * 4;
        std::thread::sleep(pause.clamp(Duration::from_millis(1), Duration::from_millis(50)));
        self.begun = Instant::now();
        true
    }
}

/// Polls until `done`, for at most `patience`; returns whether it was.
pub(crate) fn until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let mut glances = Glances::within(patience);
    while !done() {
        if !glances.again() {
            return false;
        }
    }
    true
}
