//! What comes back, taken apart again: whole probes, damaged ones, and bytes that nobody sent.
//!
//! A TCP stream keeps order and loses nothing, so after an honest echo every probe stands where it is expected. After any
//! other server the next probe is found by its mark. What is found does not depend on how the bytes are cut to pieces.
//! Every byte is compared once as it comes and then forgotten, but for the beginning of a probe: memory and work for a
//! byte are the same for probes of any size, whatever a server sends.

mod candidate;
mod mark;

use self::{
    candidate::{Candidate, Kind},
    mark::{Mark, is_beginning},
};
use super::payload::{MARK, Run, SPEAKS, Stamp};

/// What was found next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A probe, every byte as it was sent.
    Whole(Stamp),
    /// A probe of which a byte was changed or is missing; the offset of the first such byte.
    Damaged { seq: u64, at: usize },
    /// So many bytes that belong to no probe.
    Foreign(usize),
}

/// Takes apart what one connection brings.
#[derive(Debug)]
pub(crate) struct Checker {
    run: Run,
    size: usize,
    mark: Mark,
    /// Bytes that were taken and are still to be judged: the beginning of a probe, at most.
    kept: Vec<u8>,
    state: State,
    /// Foreign bytes that were not told yet.
    foreign: usize,
    /// To be told after them.
    next: Option<Found>,
    /// Bytes looked at, to test that they are no more than a few for each that came.
    #[cfg(test)]
    steps: usize,
}

#[derive(Debug)]
enum State {
    /// At the first byte of whatever comes next.
    Start,
    /// In what may be the answer to a probe.
    Inside(Candidate),
    /// In bytes of no probe, which end with so much of a mark.
    Between(usize),
}

enum Step {
    Found(Found),
    Again,
    /// Nothing can be said before more bytes come.
    Starved,
}

impl Checker {
    /// For probes of this size, at least one byte.
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

    /// The next thing found in `bytes`, from which what was looked at is taken away; `oldest` is the probe whose answer
    /// is due next. Call it until it finds nothing more.
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

    /// What is left cannot become a probe any more: the connection has ended.
    pub(crate) fn rest(&mut self) -> Option<Found> {
        let left = std::mem::take(&mut self.kept);
        // The beginning of an answer is a loss, which is told elsewhere.
        let foreign = match std::mem::replace(&mut self.state, State::Start) {
            State::Inside(candidate) if candidate.is_beginning() => 0,
            State::Inside(candidate) => candidate.len() + left.len(),
            State::Start if is_beginning(&left, self.mark.bytes()) => 0,
            State::Start | State::Between(_) => left.len(),
        };
        self.foreign += foreign;
        self.take_foreign()
    }

    fn take_foreign(&mut self) -> Option<Found> {
        let foreign = std::mem::take(&mut self.foreign);
        (foreign > 0).then_some(Found::Foreign(foreign))
    }

    /// Decides what it may be that begins here.
    fn start(&mut self, bytes: &mut &[u8], oldest: Option<Stamp>) -> Step {
        let taken = bytes.len().min(SPEAKS.saturating_sub(self.kept.len()));
        let (taken, rest) = bytes.split_at(taken);
        self.kept.extend_from_slice(taken);
        *bytes = rest;
        self.count(self.kept.len());
        if self.kept.is_empty() {
            return Step::Starved;
        }
        // Without a head the answers are what is expected, in order.
        if self.size < SPEAKS {
            return self.enter(oldest, Kind::ByOrder);
        }
        if !is_beginning(&self.kept, self.mark.bytes()) {
            return self.enter(oldest, Kind::Unmarked);
        }
        if self.kept.len() < SPEAKS {
            return Step::Starved;
        }
        // Number or time may be what was changed; and a mark alone may be anybody's.
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
        // Nothing is expected: there is nothing to compare it with, and this mark is not what is looked for.
        if kind == Kind::Marked {
            self.kept.remove(0);
            self.foreign += 1;
        }
        self.state = State::Between(0);
        Step::Again
    }

    /// The first bytes of the pattern agree with number and time, half of them at least.
    fn is_confirmed(&self, stamp: Stamp) -> bool {
        let mut expected = [0; SPEAKS];
        self.run.write_part(stamp, self.size, 0, &mut expected);
        let pairs = self.kept.iter().zip(expected).skip(SPEAKS - MARK);
        pairs.filter(|(byte, expected)| **byte == *expected).count() * 2 >= MARK
    }

    /// Compares what has come with the probe that it may be.
    fn go_on(&mut self, bytes: &mut &[u8]) -> Step {
        let State::Inside(candidate) = &mut self.state else { return Step::Again };
        let source = if self.kept.is_empty() { *bytes } else { &self.kept };
        if source.is_empty() {
            return Step::Starved;
        }
        let (used, looked_at) = candidate.take(source, &self.mark);
        self.drop_first(used, bytes);
        self.count(looked_at);
        let State::Inside(candidate) = &self.state else { return Step::Again };
        let Some(end) = candidate.end() else { return Step::Again };
        let (found, begun) = (candidate.verdict(end.len), end.mark);
        self.state = State::Start;
        // The beginning of the next has been looked at already.
        self.kept.splice(..0, self.mark.bytes().iter().copied().take(begun));
        if let Some(found) = found {
            return Step::Found(found);
        }
        self.foreign += end.len;
        Step::Again
    }

    /// Looks for the next mark.
    fn skip(&mut self, bytes: &mut &[u8], mut begun: usize) -> Step {
        let source = if self.kept.is_empty() { *bytes } else { &self.kept };
        if self.size < SPEAKS {
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

    /// These have been looked at.
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
