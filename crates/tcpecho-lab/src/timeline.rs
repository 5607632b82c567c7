//! All that happened, in one order: packets, states, lines, exits, steps and claims, each a moment.

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
/// What programs and their packets do has no limit, and what is kept of it has one: the first and the last moments, some
/// megabytes of each, and a [`What::Omitted`] that counts those between. What the experiment itself does is all kept.
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

/// What is kept of a timeline: far more than any scenario makes.
const KEPT: Limits = Limits { first: 8 << 20, last: 8 << 20 };

/// How many moments of a timeline were not kept.
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
        /// Between two looks; whether there was another state between, nothing proves. Else the one followed the other.
        sampled: bool,
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
    /// So many moments between the one before and the one after were not kept: there were too many.
    Omitted {
        /// How many.
        moments: usize,
    },
}

impl What {
    /// Whether a program or its packets can make as many of it as they like.
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

    /// About how much memory it takes beside its own structure.
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

/// What a claim is about, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// What a call came to, in an agent's words.
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
            state: Mutex::new(State {
                moments: Ends::new(KEPT),
                omitted: Omitted::default(),
                is_frozen: false,
            }),
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

    /// Adds a step of the experiment.
    pub fn step(&self, text: impl Into<String>) {
        self.record(Place::Lab, What::Step(text.into()));
    }

    /// How many moments there were: a mark to look for later ones from.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.lock().moments.count()
    }

    /// All moments from the mark on, 0 for all; where some were not kept, [`What::Omitted`] counts them.
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

    /// Calls `body` with every moment that is kept from the mark on, and returns the mark behind the last. Nobody can add
    /// one meanwhile.
    pub(crate) fn each_since(&self, mark: usize, body: impl FnMut(&Moment)) -> usize {
        let state = self.lock();
        state.moments.since(mark).map(|(_, moment)| moment).for_each(body);
        state.moments.count()
    }

    /// What was not kept of it.
    #[must_use]
    pub fn omitted(&self) -> Omitted {
        self.lock().omitted
    }

    /// Everything from now on, as it happens.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower { next: self.mark(), timeline: self.clone() }
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
        wanted: impl FnMut(&Moment) -> Option<T>,
    ) -> Result<T, TimedOut> {
        self.find(mark, patience, what, wanted).map(|(_, found)| found)
    }

    /// The same, with the mark behind that moment.
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
                return Err(TimedOut { what: what.into(), after: patience });
            }
            let woken = self.0.grown.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps what has happened so far and records nothing from now on: an experiment that is interrupted stays as it was.
    /// Followers reach its end.
    pub fn freeze(&self) {
        self.lock().is_frozen = true;
        self.0.grown.notify_all();
    }

    /// Keeps no more of the beginning and of the end than so many bytes each, of what comes from now on.
    pub fn keep(&self, bytes: usize) {
        self.lock().moments.limit(Limits { first: bytes, last: bytes });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a timeline while it grows. Whoever reads it slower than it grows misses what is not kept.
#[derive(Debug)]
pub struct Follower {
    timeline: Timeline,
    next: usize,
}

impl Follower {
    /// The mark behind the last moment that was read.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.next
    }

    /// The next moment; `None` if there is none within `patience`, which may be without end, or if the timeline is frozen.
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

    /// A gigabyte of lines is not kept, and what is missing is counted; the experiment's own moments are all there.
    #[test]
    fn what_programs_write_without_end_is_not_kept() {
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
