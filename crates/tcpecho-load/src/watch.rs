//! How much processor time a worker thread used, how long it waited for a processor, and how long this program
//! was stopped.

use std::fs;

use serde::{Deserialize, Serialize};
use tcpecho_os::pause::Pause;

use super::clock;

/// What one worker thread used in the measured time, in nanoseconds.
// The unit stands in the names, as everywhere in the JSON.
#[allow(clippy::struct_field_names)]
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct ClientUse {
    /// Length of the measured time.
    pub elapsed_ns: u64,
    /// Processor time.
    pub busy_ns: u64,
    /// Time on the run queue (the second number of `/proc/thread-self/schedstat`).
    pub delayed_ns: u64,
}

/// Pauses of this program itself, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// How many pauses.
    pub count: u64,
    /// Time in which the thread was not run, in nanoseconds.
    pub stopped_ns: u64,
    /// Time in which the machine was suspended.
    pub suspended_ns: u64,
}

impl Pauses {
    /// Adds a pause.
    pub(crate) fn add(&mut self, pause: Pause) {
        self.count += 1;
        self.stopped_ns = self.stopped_ns.saturating_add(clock::nanos(pause.stopped));
        self.suspended_ns = self.suspended_ns.saturating_add(clock::nanos(pause.suspended));
    }

    /// Returns the time of all pauses.
    #[must_use]
    pub fn total_ns(&self) -> u64 {
        self.stopped_ns.saturating_add(self.suspended_ns)
    }

    /// Returns the longer one of two accounts. A pause of the program stops all its threads, so that the
    /// accounts of two threads are not added.
    #[must_use]
    pub fn longer(self, other: Self) -> Self {
        if other.total_ns() > self.total_ns() { other } else { self }
    }
}

/// Measures what the calling thread uses.
pub(crate) struct Watch {
    start: u64,
    busy: u64,
    delayed: u64,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self { start: clock::now(), busy: clock::thread_time(), delayed: run_delay() }
    }

    pub(crate) fn stop(&self) -> ClientUse {
        ClientUse {
            elapsed_ns: clock::now() - self.start,
            busy_ns: clock::thread_time() - self.busy,
            delayed_ns: run_delay().saturating_sub(self.delayed),
        }
    }
}

/// Returns the time that the calling thread has waited on the run queue; 0 where the kernel does not count it.
fn run_delay() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_longest_account_of_a_pause_counts() {
        let pause = |stopped, suspended| Pause {
            stopped: Duration::from_nanos(stopped),
            suspended: Duration::from_nanos(suspended),
        };
        let (mut one, mut two) = (Pauses::default(), Pauses::default());
        one.add(pause(5, 0));
        one.add(pause(1, 7));
        two.add(pause(12, 0));
        assert_eq!(one, Pauses { count: 2, stopped_ns: 6, suspended_ns: 7 });
        assert_eq!((one.longer(two), two.longer(one)), (one, one));
    }

    #[test]
    fn processor_time_is_measured() {
        let watch = Watch::start();
        let start = clock::now();
        while clock::thread_time() - watch.busy < 2_000_000 {
            assert!(clock::now() - start < 60 * clock::SECOND);
        }
        let used = watch.stop();
        assert!(used.busy_ns >= 2_000_000 && used.elapsed_ns >= 2_000_000);
    }
}
