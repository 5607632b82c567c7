//! Takes apart what comes back: whole probes, damaged probes, and bytes of no probe.
//!
//! A TCP stream keeps its order and loses nothing, so from a correct echo every probe arrives where it is expected. From any
//! other server the next probe is found by its mark, and the expected probe by any word of its pattern, even if the bytes
//! before are missing. The result does not depend on how the bytes are divided into reads.
//! Every byte is compared once when it arrives and then forgotten, except for the beginning of a probe. So memory and work
//! for a byte are the same for probes of any size, whatever a server sends.

mod candidate;
mod mark;

use self::{
    candidate::{Candidate, Kind},
    mark::{Mark, is_beginning},
};
use super::payload::{MARK, Run, SMALLEST_NUMBERED, Stamp};

/// What was found next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A probe with every byte as it was sent.
    Whole(Stamp),
    /// A probe with a byte changed or missing, the offset of the first such byte, and the number of correct bytes.
    Damaged { seq: u64, at: usize, alike: usize },
    /// A number of bytes that belong to no probe.
    Foreign(usize),
}

/// Takes apart what a connection receives.
#[derive(Debug)]
pub(crate) struct Checker {
    run: Run,
    size: usize,
    mark: Mark,
    /// Bytes that are not decided yet: the beginning of a probe, at most.
    kept: Vec<u8>,
    state: State,
    /// Foreign bytes that are not reported yet.
    foreign: usize,
    /// What to report after them.
    next: Option<Found>,
    /// Bytes compared, to test that they are only a few for each byte received.
    #[cfg(test)]
    steps: usize,
}

#[derive(Debug)]
enum State {
    /// At the first byte of the next thing.
    Start,
    /// In bytes that may be the answer to a probe.
    Inside(Candidate),
    /// In bytes of no probe, which end with this many bytes of a mark.
    Between(usize),
}

enum Step {
    Found(Found),
    Again,
    /// More bytes are needed.
    Starved,
}

impl Checker {
    /// Creates a checker for probes of this size, at least one byte.
    pub(crate) fn new(run: Run, size: usize) -> Self {
        Checker {
            run,
            size: size.max(1),
            mark: Mark::of(run),
            kept: Vec::new(),
            state: State::Start,
            foreign: 0,
            next: None,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Returns the next thing found in `bytes`, and removes from `bytes` what it has used. `oldest` is the probe whose answer is
    /// expected next. Call it until it finds nothing more.
    pub(crate) fn next(&mut self, bytes: &mut &[u8], oldest: Option<Stamp>) -> Option<Found> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        loop {
            let step = match &self.state {
                State::Start => self.start(bytes, oldest),
                State::Inside(_) => self.go_on(bytes),
                State::Between(begun) => self.skip(bytes, *begun),
            };
            match step {
                Step::Again => {}
                Step::Starved => return self.take_foreign(),
                Step::Found(found) => {
                    let Some(foreign) = self.take_foreign() else { return Some(found) };
                    self.next = Some(found);
                    return Some(foreign);
                }
            }
        }
    }

    /// Returns what is left when the connection has ended.
    pub(crate) fn rest(&mut self) -> Option<Found> {
        let left = std::mem::take(&mut self.kept);
        // The beginning of an answer is a loss, which is reported elsewhere.
        let foreign = match std::mem::replace(&mut self.state, State::Start) {
            State::Inside(candidate) if candidate.is_beginning() => 0,
            State::Inside(candidate) => candidate.len() + left.len(),
            State::Start if is_beginning(&left, self.mark.bytes()) => 0,
            State::Start | State::Between(_) => left.len(),
        };
        self.foreign += foreign;
        self.take_foreign()
    }

    /// Returns the number of the probe whose answer is not complete yet, and how many bytes of it are as they were sent.
    pub(crate) fn incomplete(&self, oldest: Option<Stamp>) -> Option<(u64, usize)> {
        match &self.state {
            State::Inside(candidate) => candidate.is_beginning().then(|| candidate.correct()),
            State::Between(_) => None,
            State::Start => {
                let stamp = oldest.filter(|_| !self.kept.is_empty())?;
                let mut expected = [0; SMALLEST_NUMBERED];
                let expected = expected.get_mut(..self.kept.len())?;
                self.run.write_part(stamp, self.size, 0, expected);
                (self.kept == *expected).then_some((stamp.seq, self.kept.len()))
            }
        }
    }

    fn take_foreign(&mut self) -> Option<Found> {
        let foreign = std::mem::take(&mut self.foreign);
        (foreign > 0).then_some(Found::Foreign(foreign))
    }

    /// Decides what may begin here.
    fn start(&mut self, bytes: &mut &[u8], oldest: Option<Stamp>) -> Step {
        let taken = bytes.len().min(SMALLEST_NUMBERED.saturating_sub(self.kept.len()));
        let (taken, rest) = bytes.split_at(taken);
        self.kept.extend_from_slice(taken);
        *bytes = rest;
        self.count(self.kept.len());
        if self.kept.is_empty() {
            return Step::Starved;
        }
        // Without a head the answers are what is expected, in order.
        if self.size < SMALLEST_NUMBERED {
            return self.enter(oldest, Kind::ByOrder);
        }
        if !is_beginning(&self.kept, self.mark.bytes()) {
            return self.enter(oldest, Kind::Unmarked);
        }
        if self.kept.len() < SMALLEST_NUMBERED {
            return Step::Starved;
        }
        // The number or the time may have been changed, and a mark alone may be a coincidence.
        let stamp = self.run.read(&self.kept);
        match stamp.filter(|stamp| Some(*stamp) == oldest || self.is_confirmed(*stamp)) {
            Some(stamp) => self.enter(Some(stamp), Kind::Known),
            None => self.enter(oldest, Kind::Marked),
        }
    }

    fn enter(&mut self, stamp: Option<Stamp>, kind: Kind) -> Step {
        if let Some(stamp) = stamp {
            self.state = State::Inside(Candidate::new(self.run, self.size, stamp, kind));
            return Step::Again;
        }
        // Nothing is expected, so this mark begins no probe.
        if kind == Kind::Marked {
            self.kept.remove(0);
            self.foreign += 1;
        }
        self.state = State::Between(0);
        Step::Again
    }

    /// Returns whether at least half of the first bytes of the pattern agree with number and time.
    fn is_confirmed(&self, stamp: Stamp) -> bool {
        let mut expected = [0; SMALLEST_NUMBERED];
        self.run.write_part(stamp, self.size, 0, &mut expected);
        let pairs = self.kept.iter().zip(expected).skip(SMALLEST_NUMBERED - MARK);
        pairs.filter(|(byte, expected)| **byte == *expected).count() * 2 >= MARK
    }

    /// Compares bytes with the probe that they may be.
    fn go_on(&mut self, bytes: &mut &[u8]) -> Step {
        let State::Inside(candidate) = &mut self.state else { return Step::Again };
        let source = if self.kept.is_empty() { *bytes } else { &self.kept };
        if source.is_empty() {
            return Step::Starved;
        }
        let (used, looked_at) = candidate.take(source, &self.mark);
        self.foreign += candidate.take_before();
        self.drop_first(used, bytes);
        self.count(looked_at);
        let State::Inside(candidate) = &self.state else { return Step::Again };
        let Some(end) = candidate.end() else { return Step::Again };
        let (found, begun) = (candidate.verdict(end.len), end.mark);
        self.state = State::Start;
        // The beginning of the next mark has been read already.
        self.kept.splice(..0, self.mark.bytes().iter().copied().take(begun));
        if let Some(found) = found {
            return Step::Found(found);
        }
        self.foreign += end.len;
        Step::Again
    }

    /// Searches for the next mark.
    fn skip(&mut self, bytes: &mut &[u8], mut begun: usize) -> Step {
        let source = if self.kept.is_empty() { *bytes } else { &self.kept };
        if self.size < SMALLEST_NUMBERED {
            let used = source.len();
            self.foreign += used;
            self.drop_first(used, bytes);
            self.state = State::Start;
            return Step::Again;
        }
        let mut used = 0;
        for byte in source {
            used += 1;
            begun = self.mark.advance(begun, *byte);
            if begun == MARK {
                break;
            }
        }
        self.foreign += used;
        self.drop_first(used, bytes);
        self.count(used);
        self.state = State::Between(begun);
        if begun == MARK || (self.kept.is_empty() && bytes.is_empty()) {
            self.foreign -= begun;
            self.kept.splice(..0, self.mark.bytes().iter().copied().take(begun));
            self.state = State::Start;
        }
        Step::Again
    }

    /// Removes bytes that are used.
    fn drop_first(&mut self, used: usize, bytes: &mut &[u8]) {
        if self.kept.is_empty() {
            *bytes = bytes.get(used..).unwrap_or_default();
        } else {
            self.kept.drain(..used);
        }
    }

    #[cfg(test)]
    fn count(&mut self, looked_at: usize) {
        self.steps += looked_at;
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "only tests count")]
    fn count(&self, _: usize) {}
}

#[cfg(test)]
mod tests;
