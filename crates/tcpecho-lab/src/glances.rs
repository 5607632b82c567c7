//! Looking again and again at what the kernel has no event for.

use std::time::{Duration, Instant};

/// Looks one millisecond apart, or four times as long as a look takes: whoever looks must not keep those from running who are
/// looked at.
#[derive(Debug)]
pub(crate) struct Glances {
    begun: Instant,
    end: Instant,
}

impl Glances {
    /// The first look begins now; there is time for looking until `patience` is over.
    pub(crate) fn within(patience: Duration) -> Self {
        let begun = Instant::now();
        Glances { begun, end: begun + patience }
    }

    /// Waits for the time of the next look; `false` if there is no time left.
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

/// Whether it is `done` within that time.
pub(crate) fn until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let mut glances = Glances::within(patience);
    while !done() {
        if !glances.again() {
            return false;
        }
    }
    true
}
