//! The generator's eye on itself: how much of its time a thread worked, and how long it was ready to
//! work and had no processor.

use std::{fs, time::Duration};

use serde::{Deserialize, Serialize};
use tcpecho_os::pause::Pause;

use super::clock;

/// What one thread of the generator used during the measured time, in nanoseconds.
// The unit stands in the names, as everywhere in the JSON.
#[allow(clippy::struct_field_names)]
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct ClientUse {
    pub(super) elapsed_ns: u64,
    /// Processor time.
    pub(super) busy_ns: u64,
    /// Time on the run queue (the second number of `/proc/thread-self/schedstat`).
    pub(super) delayed_ns: u64,
}

/// Pauses of this program itself, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pauses {
    pub(super) count: u64,
    /// Time in which the thread was not run, in nanoseconds.
    pub(super) stopped_ns: u64,
    /// Time in which the machine was suspended.
    pub(super) suspended_ns: u64,
}

impl Pauses {
    pub(super) fn add(&mut self, pause: Pause) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.count += 1;
        self.stopped_ns = self.stopped_ns.saturating_add(nanos(pause.stopped));
        self.suspended_ns = self.suspended_ns.saturating_add(nanos(pause.suspended));
    }

    pub(super) fn total_ns(&self) -> u64 {
        self.stopped_ns.saturating_add(self.suspended_ns)
    }

    /// What stops the program stops all its threads: of two threads' accounts the longer one holds.
    pub(super) fn longer(self, other: Self) -> Self {
        if other.total_ns() > self.total_ns() { other } else { self }
    }
}

pub(super) struct Watch {
    start: u64,
    busy: u64,
    delayed: u64,
}

impl Watch {
    pub(super) fn start() -> Self {
        Self { start: clock::now(), busy: clock::thread_time(), delayed: run_delay() }
    }

    pub(super) fn stop(&self) -> ClientUse {
        ClientUse {
            elapsed_ns: clock::now() - self.start,
            busy_ns: clock::thread_time() - self.busy,
            delayed_ns: run_delay().saturating_sub(self.delayed),
        }
    }
}

/// 0 where the kernel does not tell.
fn run_delay() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// From this share of its time on a thread is at its limit: what is left are its waits for events
/// that had already come.
pub(super) const BUSY: f64 = 0.95;
/// From this share of its time on, waiting for a processor is what was measured.
const DELAYED: f64 = 0.05;

/// A shorter time says nothing of a thread.
const SHORTEST: u64 = 20_000_000;

/// What is to be said of the generator; nothing when it had time to spare. `server` is the busiest
/// share that is known of the server's processors, 1 for one that never rested.
pub(super) fn verdict(threads: &[ClientUse], server: Option<f64>) -> Vec<String> {
    let threads = threads.iter().filter(|used| used.elapsed_ns >= SHORTEST);
    let share = |part: fn(&ClientUse) -> u64| {
        let of = |used: &ClientUse| part(used) as f64 / used.elapsed_ns.max(1) as f64;
        threads.clone().map(of).fold(0.0, f64::max)
    };
    let (busy, delayed) = (share(|used| used.busy_ns), share(|used| used.delayed_ns));
    let mut sentences = Vec::new();
    if busy >= BUSY {
        let percent = busy * 100.0;
        sentences.push(match server {
            Some(server) if server >= BUSY => format!(
                "client and server were both at their limit: a client thread was busy {percent:.0} % \
                 of the time, the server {:.0} %",
                server * 100.0
            ),
            _ => format!(
                "the client was the limit: one of its threads was busy {percent:.0} % of the time \
                 (more --threads, or a lower --rate)"
            ),
        });
    }
    if delayed >= DELAYED {
        sentences.push(format!(
            "the client waited {:.0} % of the time for a processor that others used: latencies \
             contain that (--cpu, fewer --threads)",
            delayed * 100.0
        ));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_was_the_limit() {
        let used = |busy: u64, delayed: u64| {
            let thousandths = |share: u64| share * 1_000_000;
            let (busy_ns, delayed_ns) = (thousandths(busy), thousandths(delayed));
            [ClientUse { elapsed_ns: thousandths(1000), busy_ns, delayed_ns }]
        };
        let short = ClientUse { elapsed_ns: 5, busy_ns: 5, delayed_ns: 0 };
        assert!(verdict(&[short], None).is_empty());
        assert_eq!(verdict(&used(800, 10), None), Vec::<String>::new());
        assert!(verdict(&used(990, 0), Some(0.5))[0].starts_with("the client was the limit"));
        assert!(verdict(&used(990, 0), Some(0.99))[0].starts_with("client and server were both"));
        assert!(verdict(&used(10, 100), None)[0].contains("10 % of the time for a processor"));
        assert!(verdict(&[], None).is_empty());
    }

    #[test]
    fn of_the_threads_accounts_of_a_pause_the_longest_holds() {
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
    fn work_shows() {
        let watch = Watch::start();
        let start = clock::now();
        while clock::thread_time() - watch.busy < 2_000_000 {
            assert!(clock::now() - start < 60 * clock::SECOND);
        }
        let used = watch.stop();
        assert!(used.busy_ns >= 2_000_000 && used.elapsed_ns >= 2_000_000);
    }
}
