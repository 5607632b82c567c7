//! The timeline: everything that happened, in one order. Packets, states, lines, exits, steps and
//! claims are moments of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tcpecho_os::process::Exit;
use tcpecho_os::tcp_state::TcpState;

use crate::ends::{Ends, Limits};
use crate::packet::Packet;
use crate::side::Side;

mod call;
mod verdict;
pub use call::{CallMoment, Outcome, Phase};
pub use verdict::Verdict;

/// Everything that happened in a lab; copies are the same timeline.
///
/// Programs and packets have no limit, and what is kept of them has one: some megabytes of the
/// first and of the last moments, and a [`What::Omitted`] that counts those between. What the
/// experiment itself does is kept completely.
#[derive(Debug, Clone)]
pub struct Timeline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    epoch: SystemTime,
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug)]
struct State {
    moments: Ends<Moment>,
    omitted: Omitted,
    is_frozen: bool,
}

/// The limits of a timeline: far more than any scenario makes.
const KEPT: Limits = Limits { first: 8 << 20, last: 8 << 20 };

/// The number of moments that were not kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Omitted {
    /// Packets.
    pub packets: usize,
    /// Lines that programs wrote.
    pub lines: usize,
    /// System calls and signals.
    pub calls: usize,
    /// Changes of states, and packets that were not understood.
    pub others: usize,
}

impl Omitted {
    /// All together.
    #[must_use]
    pub fn total(self) -> usize {
        self.packets + self.lines + self.calls + self.others
    }

    fn add(&mut self, what: &What) {
        *match what {
            What::Packet(_) => &mut self.packets,
            What::Output { .. } => &mut self.lines,
            What::Call(_) | What::Signal { .. } => &mut self.calls,
            _ => &mut self.others,
        } += 1;
    }
}

/// Something that happened, where and when.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The time since the timeline began. Never less than that of the moment before.
    pub at: Duration,
    /// Where it happened.
    pub place: Place,
    /// What happened.
    pub what: What,
}

/// Where something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a host.
    Host(Side),
    /// On the wire between them.
    Wire,
    /// In the program that conducts the experiment.
    Lab,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// The wire saw a packet, or released it later.
    Packet(PacketMoment),
    /// Bytes passed that are not a packet the lab understands; they were delivered.
    Unparsed {
        /// The side that sent them.
        from: Side,
        /// Their number.
        length: usize,
        /// The error in them.
        why: &'static str,
    },
    /// A socket entered, changed in or left the kernel's table.
    State {
        /// The host's own end.
        local: SocketAddr,
        /// The peer's end; unspecified for a listening socket.
        remote: SocketAddr,
        /// `None` if it was not there.
        before: Option<TcpState>,
        /// `None` if it is gone.
        now: Option<TcpState>,
        /// Whether this is a sample: nothing proves that there was no other state between.
        /// Otherwise the one state followed the other.
        sampled: bool,
    },
    /// A program was started.
    Started {
        /// Its name.
        program: Arc<str>,
        /// Its process number in the lab's PID namespace.
        pid: i32,
    },
    /// Every system call of a program will be on the timeline, from its first on.
    Observed {
        /// Its name.
        program: Arc<str>,
    },
    /// A program is an agent: the lines that it reads and writes are system calls
    /// ([`crate::agent::Conversation`]).
    Agent {
        /// Its name.
        program: Arc<str>,
    },
    /// A traced program enters or leaves a system call.
    Call(CallMoment),
    /// A signal reaches a traced program.
    Signal {
        /// Its name.
        program: Arc<str>,
        /// The process or thread, by its number inside the host; `None` for the program's first.
        task: Option<i32>,
        /// The signal's name.
        signal: String,
    },
    /// A line was typed on a program's stdin.
    Input {
        /// Its name.
        program: Arc<str>,
        /// The line, without the newline.
        line: String,
    },
    /// A program wrote a line.
    Output {
        /// Its name.
        program: Arc<str>,
        /// The stream.
        stream: Stream,
        /// The line, without the newline; invalid UTF-8 is replaced.
        line: String,
    },
    /// A program exited.
    Exit {
        /// Its name.
        program: Arc<str>,
        /// How it exited.
        exit: Exit,
    },
    /// A child that an agent has forked ended.
    ChildExit {
        /// The agent's name.
        program: Arc<str>,
        /// The child's process number inside the host.
        child: i32,
        /// How it ended; unknown if its parent waited for it first.
        exit: Exit,
    },
    /// A setting of a host's kernel was changed.
    Sysctl {
        /// Its name, such as `net.ipv4.tcp_retries2`.
        key: String,
        /// Its new value.
        value: String,
    },
    /// The minimum RTO of a host's connections was set (`rto_min` of its
    /// routes).
    RtoMin(Duration),
    /// A step of the experiment: cable cut, host powered off, signal sent.
    Step(String),
    /// A claim was checked.
    Claim {
        /// The sentence.
        sentence: String,
        /// Whether it holds.
        holds: bool,
        /// What was seen instead, or where the claim comes from.
        note: String,
        /// What was seen, if it can be asked for ([`crate::quiz`]).
        fact: Option<Fact>,
    },
    /// The experiment is over; the rest is how programs and hosts are taken down.
    Over,
    /// The lab itself failed to do something.
    Trouble(String),
    /// This number of moments between the one before and the one after was not kept: there were too
    /// many.
    Omitted {
        /// Their number.
        moments: usize,
    },
}

impl What {
    /// The step of a host that loses its power; nothing tells what becomes of its sockets.
    pub(crate) const POWER_OFF: &'static str = "power off";

    /// Whether a host loses its power here: all its sockets are gone.
    #[must_use]
    pub fn is_power_off(&self) -> bool {
        matches!(self, What::Step(step) if step == What::POWER_OFF)
    }

    /// Whether a program or its packets can make any number of them.
    fn is_dispensable(&self) -> bool {
        matches!(
            self,
            What::Packet(_)
                | What::Unparsed { .. }
                | What::State { .. }
                | What::Call(_)
                | What::Signal { .. }
                | What::Output { .. }
        )
    }

    /// The approximate memory it takes beside its own structure.
    fn heap(&self) -> usize {
        match self {
            What::Packet(seen) => seen.packet.bytes().len() + seen.line.len() + seen.note.len(),
            What::Output { line, .. } => line.len(),
            What::Call(call) => call.arguments.len(),
            What::Signal { signal, .. } => signal.len(),
            _ => 0,
        }
    }
}

/// The observation that a claim is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The result of a call, in an agent's words.
    Answer(String),
    /// A packet that arrived.
    Packet {
        /// The side that sent it.
        from: Side,
        /// Its kind: `SYN`, `SYN-ACK`, `FIN`, `RST`, `data`, `ACK`, or `ICMP` and the message.
        kind: String,
    },
    /// The state of a socket.
    State {
        /// The host.
        side: Side,
        /// Its state.
        state: TcpState,
    },
}

/// The stream of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A packet and what happened to it.
#[derive(Debug, Clone)]
pub struct PacketMoment {
    /// The packet's number; a packet that waited in the wire has a second moment with the same
    /// number.
    pub number: u64,
    /// The side it comes from, or would come from if the wire had not made it.
    pub from: Side,
    /// The packet as the wire received it (or made it), before any change.
    pub packet: Packet,
    /// The packet in one line, with relative sequence numbers: `SYN seq=0 win=64240 mss=1460`.
    pub line: String,
    /// What the wire did with it.
    pub verdict: Verdict,
    /// The reason, in the words of the rule, or empty.
    pub note: String,
}

/// An expected event did not happen in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedOut {
    /// The expected event.
    pub what: String,
    /// How long it was waited for.
    pub after: Duration,
    /// Why it cannot happen any more, if the wait ended earlier.
    pub ended: Option<String>,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ended {
            Some(ended) => write!(f, "{} did not happen: {ended}", self.what),
            None => write!(f, "{} did not happen within {:?}", self.what, self.after),
        }
    }
}

impl std::error::Error for TimedOut {}

impl Timeline {
    /// Makes an empty timeline that begins now.
    #[must_use]
    pub fn new() -> Self {
        Timeline(Arc::new(Inner {
            start: Instant::now(),
            epoch: SystemTime::now(),
            state: Mutex::new(State {
                moments: Ends::new(KEPT),
                omitted: Omitted::default(),
                is_frozen: false,
            }),
            grown: Condvar::new(),
        }))
    }

    /// The time since it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// When it began, by the wall clock.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.0.epoch
    }

    /// Records a moment now, and returns its time.
    #[allow(clippy::must_use_candidate, reason = "the time is rarely wanted")]
    pub fn record(&self, place: Place, what: What) -> Duration {
        let mut state = self.lock();
        // The clock is read under the lock: the moments are in the order of their times.
        let moment = Moment { at: self.elapsed(), place, what };
        let at = moment.at;
        let (bytes, dispensable) =
            (size_of::<Moment>() + moment.what.heap(), moment.what.is_dispensable());
        let State { moments, omitted, is_frozen } = &mut *state;
        if *is_frozen {
            return at;
        }
        moments.push(moment, bytes, dispensable, |gone| omitted.add(&gone.what));
        self.0.grown.notify_all();
        at
    }

    /// Records a step of the experiment.
    pub fn step(&self, text: impl Into<String>) {
        self.record(Place::Lab, What::Step(text.into()));
    }

    /// The number of moments so far: a mark to look for later ones from.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.lock().moments.count()
    }

    /// All moments from the mark on, 0 for all; where some were not kept, [`What::Omitted`] counts
    /// them.
    #[must_use]
    pub fn since(&self, mark: usize) -> Vec<Moment> {
        let state = self.lock();
        let mut next = mark;
        let mut moments = Vec::new();
        for (number, moment) in state.moments.since(mark) {
            moments.extend(gap(next, number, moment.at));
            moments.push(moment.clone());
            next = number + 1;
        }
        moments
    }

    /// Calls `body` with every kept moment from the mark on, and returns the mark after the last.
    /// No moment can be added meanwhile.
    pub(crate) fn each_since(&self, mark: usize, body: impl FnMut(&Moment)) -> usize {
        let state = self.lock();
        state.moments.since(mark).map(|(_, moment)| moment).for_each(body);
        state.moments.count()
    }

    /// The number of moments that were not kept.
    #[must_use]
    pub fn omitted(&self) -> Omitted {
        self.lock().omitted
    }

    /// Follows everything that happens from now on.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower { next: self.mark(), timeline: self.clone() }
    }

    /// Waits until `wanted` finds a moment from the mark on, past or future.
    ///
    /// # Errors
    /// [`TimedOut`] after `patience`; the error calls it `what`.
    pub fn wait_for<T>(
        &self,
        mark: usize,
        patience: Duration,
        what: &str,
        wanted: impl FnMut(&Moment) -> Option<T>,
    ) -> Result<T, TimedOut> {
        self.find(mark, patience, what, wanted).map(|(_, found)| found)
    }

    /// As [`Timeline::wait_for`], and returns the mark after that moment.
    ///
    /// # Errors
    /// As [`Timeline::wait_for`].
    pub fn find<T>(
        &self,
        mark: usize,
        patience: Duration,
        what: &str,
        mut wanted: impl FnMut(&Moment) -> Option<T>,
    ) -> Result<(usize, T), TimedOut> {
        let end = Instant::now() + patience;
        let mut next = mark;
        let mut state = self.lock();
        loop {
            for (number, moment) in state.moments.since(next) {
                next = number + 1;
                if let Some(found) = wanted(moment) {
                    return Ok((next, found));
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(TimedOut { what: what.into(), after: patience, ended: None });
            }
            let woken = self.0.grown.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps what has happened so far and records nothing from now on: an interrupted experiment
    /// stays as it was. Followers reach its end.
    pub fn freeze(&self) {
        self.lock().is_frozen = true;
        self.0.grown.notify_all();
    }

    /// Keeps at most this number of bytes each of the beginning and of the end, from now on.
    pub fn keep(&self, bytes: usize) {
        self.lock().moments.limit(Limits { first: bytes, last: bytes });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a timeline while it grows. A reader that is slower than the timeline misses what is not
/// kept.
#[derive(Debug)]
pub struct Follower {
    timeline: Timeline,
    next: usize,
}

impl Follower {
    /// The mark after the last moment that was read.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.next
    }

    /// The next moment; `None` if there is none within `patience`, which may be unlimited, or if
    /// the timeline is frozen.
    pub fn next(&mut self, patience: Option<Duration>) -> Option<Moment> {
        let end = patience.map(|patience| Instant::now() + patience);
        let grown = &self.timeline.0.grown;
        let mut state = self.timeline.lock();
        loop {
            if let Some((number, moment)) = state.moments.since(self.next).next() {
                let gap = gap(self.next, number, moment.at);
                self.next = if gap.is_some() { number } else { number + 1 };
                return Some(gap.unwrap_or_else(|| moment.clone()));
            }
            if state.is_frozen {
                return None;
            }
            let Some(end) = end else {
                state = grown.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What stands for the moments from `next` to before `number`, if there were any.
fn gap(next: usize, number: usize, at: Duration) -> Option<Moment> {
    let what = What::Omitted { moments: number - next };
    (number > next).then_some(Moment { at, place: Place::Lab, what })
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
    fn what_is_left_out_is_counted_by_its_kind() {
        let program: Arc<str> = "p".into();
        let output = What::Output { program: "p".into(), stream: Stream::Out, line: "x".into() };
        let signal = What::Signal { program, task: None, signal: "SIGCHLD".into() };
        let unparsed = What::Unparsed { from: Side::Client, length: 1, why: "cut" };
        let none = Omitted::default();
        for (what, wanted) in [
            (output, Omitted { lines: 1, ..none }),
            (signal, Omitted { calls: 1, ..none }),
            (unparsed, Omitted { others: 1, ..none }),
            (What::Trouble("x".into()), Omitted { others: 1, ..none }),
        ] {
            let mut omitted = none;
            omitted.add(&what);
            assert_eq!((omitted, omitted.total()), (wanted, 1), "{what:?}");
        }
    }

    #[test]
    fn moments_are_ordered_found_and_followed() {
        let timeline = Timeline::new();
        let mut follower = timeline.follow();
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
        assert!(follower.next(None).is_some() && follower.next(None).is_some());
        assert!(follower.next(Some(Duration::from_millis(1))).is_none());
        assert_eq!((timeline.mark(), follower.mark()), (2, 2));
        let late = timeline.wait_for(2, Duration::from_millis(1), "two", step).unwrap_err();
        assert_eq!(late.to_string(), "two did not happen within 1ms");
        let never = TimedOut { ended: Some("the program has exited".into()), ..late };
        assert_eq!(never.to_string(), "two did not happen: the program has exited");
    }

    #[test]
    fn a_frozen_timeline_stays_as_it_was() {
        let timeline = Timeline::new();
        let mut follower = timeline.follow();
        timeline.step("one");
        timeline.freeze();
        timeline.step("two");
        assert_eq!((timeline.mark(), timeline.since(0).len()), (1, 1));
        assert!(follower.next(None).is_some() && follower.next(None).is_none());
    }

    /// A gigabyte of lines is not kept, the missing lines are counted, and the experiment's own
    /// moments are complete.
    #[test]
    fn endless_output_is_not_kept() {
        let timeline = Timeline::new();
        let mut slow = timeline.follow();
        timeline.step("before");
        let line = "x".repeat(64 << 10);
        for number in 0..16_384 {
            let (program, stream) = ("p".into(), Stream::Out);
            let line = format!("{number} {line}");
            timeline.record(Place::Host(Side::Client), What::Output { program, stream, line });
            if number == 8_000 {
                timeline.step("between");
            }
        }
        timeline.step("behind");
        let moments = timeline.since(0);
        let bytes: usize = moments.iter().map(|moment| moment.what.heap()).sum();
        assert!(bytes <= KEPT.first + KEPT.last, "{bytes}");
        let counted: usize = moments
            .iter()
            .map(|moment| if let What::Omitted { moments } = moment.what { moments } else { 1 })
            .sum();
        assert_eq!((counted, timeline.mark()), (16_387, 16_387));
        let steps: Vec<_> = moments
            .iter()
            .filter_map(|m| if let What::Step(text) = &m.what { Some(&**text) } else { None })
            .collect();
        assert_eq!(steps, ["before", "between", "behind"]);
        let lines = moments.iter().filter(|m| matches!(m.what, What::Output { .. })).count();
        assert_eq!(timeline.omitted(), Omitted { lines: 16_384 - lines, ..Omitted::default() });
        let mut read = Vec::new();
        while let Some(moment) = slow.next(Some(Duration::ZERO)) {
            read.push(moment);
        }
        assert_eq!(read.len(), moments.len());
    }
}
