//! All that happened, in one order: packets, states, lines, exits, steps and claims, each a moment.

use std::fmt;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tcpecho_os::process::Exit;
use tcpecho_os::tcp_state::TcpState;

use crate::packet::Packet;
use crate::side::Side;

mod call;
mod verdict;
pub use call::{CallMoment, Outcome, Phase};
pub use verdict::Verdict;

/// Everything that happened in a lab. Grows only; copies are the same timeline.
#[derive(Debug, Clone)]
pub struct Timeline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    epoch: SystemTime,
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct State {
    moments: Vec<Moment>,
    observers: Vec<Sender<Moment>>,
}

/// Something that happened, where and when.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Since the timeline began. Never less than that of the moment before.
    pub at: Duration,
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
}

/// Where something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a host.
    Host(Side),
    /// Between them.
    Wire,
    /// In whoever conducts the experiment.
    Lab,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// A packet was seen by the wire, or left it later.
    Packet(PacketMoment),
    /// Bytes passed that are no packet which the lab understands; they were delivered.
    Unparsed {
        /// Who sent them.
        from: Side,
        /// How many.
        length: usize,
        /// What is wrong with them.
        why: &'static str,
    },
    /// A socket entered, changed or left the kernel's table.
    State {
        /// The host's own end.
        local: SocketAddr,
        /// The other end; unspecified for a listener.
        remote: SocketAddr,
        /// `None`: it was not there.
        before: Option<TcpState>,
        /// `None`: it is gone.
        now: Option<TcpState>,
    },
    /// A program runs.
    Started {
        /// Which one.
        program: Arc<str>,
        /// Its process number as the lab sees it.
        pid: i32,
    },
    /// Every system call of a program will be on the timeline, from its first on.
    Observed {
        /// Which one.
        program: Arc<str>,
    },
    /// An observed program enters or leaves a system call.
    Call(CallMoment),
    /// A signal reaches an observed program.
    Signal {
        /// Which one.
        program: Arc<str>,
        /// Which of its processes or threads, by its number inside the host; `None`: the program's first.
        task: Option<i32>,
        /// The signal's name.
        signal: String,
    },
    /// A program was told something on its standard input.
    Input {
        /// Which one.
        program: Arc<str>,
        /// What, without the newline.
        line: String,
    },
    /// A program wrote a line.
    Output {
        /// Which one.
        program: Arc<str>,
        /// Where.
        stream: Stream,
        /// What, without the newline; bytes that are no UTF-8 are replaced.
        line: String,
    },
    /// A program ended.
    Exit {
        /// Which one.
        program: Arc<str>,
        /// How.
        exit: Exit,
    },
    /// A setting of a host's kernel was changed.
    Sysctl {
        /// Its name, such as `net.ipv4.tcp_retries2`.
        key: String,
        /// Its new value.
        value: String,
    },
    /// The smallest retransmission timeout of a host's connections was set (its routes' `rto_min`).
    RtoMin(Duration),
    /// Something was done to the experiment: cable cut, host powered off, signal sent.
    Step(String),
    /// A sentence that had to hold.
    Claim {
        /// The sentence.
        sentence: String,
        /// Whether it did.
        holds: bool,
        /// What was seen instead, or where the claim comes from.
        note: String,
        /// What was seen, where it can be asked for ([`crate::quiz`]).
        fact: Option<Fact>,
    },
    /// The lab itself could not do something.
    Trouble(String),
}

/// What a claim is about, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// What a call came to, in a puppet's words.
    Answer(String),
    /// A packet that arrived.
    Packet {
        /// Who sent it.
        from: Side,
        /// What it was: `SYN`, `SYN-ACK`, `FIN`, `RST`, `data`, `ACK`, or `ICMP` and what it says.
        kind: String,
    },
    /// The state of a socket.
    State {
        /// In which host.
        side: Side,
        /// Its state.
        state: TcpState,
    },
}

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A packet and what became of it.
#[derive(Debug, Clone)]
pub struct PacketMoment {
    /// The packet's own number; a packet that waits in the wire has a second moment with the same number.
    pub number: u64,
    /// Which side it comes from, or would come from if the wire had not made it.
    pub from: Side,
    /// The packet as the wire got it (or made it), before anything was done to it.
    pub packet: Packet,
    /// In one line, numbers relative to the connection's first: `SYN seq=0 win=64240 mss=1460`.
    pub line: String,
    /// What was done with it.
    pub verdict: Verdict,
    /// Why, in the words of the rule, or empty.
    pub note: String,
}

/// What was waited for did not happen in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedOut {
    /// What should have happened.
    pub what: String,
    /// How long it was waited for.
    pub after: Duration,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} did not happen within {:?}", self.what, self.after)
    }
}

impl std::error::Error for TimedOut {}

impl Timeline {
    /// An empty timeline that begins now.
    #[must_use]
    pub fn new() -> Self {
        Timeline(Arc::new(Inner {
            start: Instant::now(),
            epoch: SystemTime::now(),
            state: Mutex::default(),
            grown: Condvar::new(),
        }))
    }

    /// Since it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// When it began, by the clock on the wall.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.0.epoch
    }

    /// Adds what happens now, and returns its time.
    #[allow(clippy::must_use_candidate, reason = "the time is rarely wanted")]
    pub fn record(&self, place: Place, what: What) -> Duration {
        let mut state = self.lock();
        // The clock is read under the lock: the order of the moments is that of their times.
        let moment = Moment { at: self.elapsed(), place, what };
        let at = moment.at;
        state.observers.retain(|observer| observer.send(moment.clone()).is_ok());
        state.moments.push(moment);
        self.0.grown.notify_all();
        at
    }

    /// Adds a step of the experiment.
    pub fn step(&self, text: impl Into<String>) {
        self.record(Place::Lab, What::Step(text.into()));
    }

    /// How many moments there are: a mark to look for later ones from.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.lock().moments.len()
    }

    /// All moments from the mark on; 0 for all.
    #[must_use]
    pub fn since(&self, mark: usize) -> Vec<Moment> {
        self.lock().moments.get(mark..).unwrap_or_default().to_vec()
    }

    /// Everything from now on, as it happens. An observer that is dropped is forgotten.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<Moment> {
        let (tell, told) = channel();
        self.lock().observers.push(tell);
        told
    }

    /// As [`Timeline::subscribe`], with the mark from which on it observes.
    #[must_use]
    pub fn follow(&self) -> (usize, Receiver<Moment>) {
        let (tell, told) = channel();
        let mut state = self.lock();
        state.observers.push(tell);
        (state.moments.len(), told)
    }

    /// Waits until a moment from the mark on is what `wanted` looks for, past or future.
    ///
    /// # Errors
    /// [`TimedOut`], which says `what`, if it has not happened within `patience`.
    pub fn wait_for<T>(
        &self,
        mark: usize,
        patience: Duration,
        what: &str,
        mut wanted: impl FnMut(&Moment) -> Option<T>,
    ) -> Result<T, TimedOut> {
        let end = Instant::now() + patience;
        let mut next = mark;
        let mut state = self.lock();
        loop {
            while let Some(moment) = state.moments.get(next) {
                next += 1;
                if let Some(found) = wanted(moment) {
                    return Ok(found);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(TimedOut { what: what.into(), after: patience });
            }
            let woken = self.0.grown.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ordered_found_and_observed() {
        let timeline = Timeline::new();
        let observer = timeline.subscribe();
        let step = |moment: &Moment| match &moment.what {
            What::Step(text) if text == "two" => Some(moment.at),
            _ => None,
        };
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| timeline.wait_for(0, Duration::from_secs(10), "two", step));
            timeline.step("one");
            timeline.step("two");
            assert_eq!(waiting.join().unwrap(), Ok(timeline.since(1)[0].at));
        });
        assert!(timeline.since(0).is_sorted_by_key(|moment| moment.at));
        assert_eq!((timeline.mark(), observer.try_iter().count()), (2, 2));
        let late = timeline.wait_for(2, Duration::from_millis(1), "two", step).unwrap_err();
        assert_eq!(late.to_string(), "two did not happen within 1ms");
    }
}
