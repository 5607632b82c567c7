//! What comes back, taken apart again: whole probes, damaged ones, and bytes that nobody sent.
//!
//! A TCP stream keeps order and loses nothing, so after an honest echo every probe stands where it is expected. After any
//! other server the next probe is found by its mark. What it finds does not depend on how the bytes are cut to pieces,
//! and what it keeps is never more than one probe.

use super::probe::{MARK, Run, SPEAKS, Stamp};

/// What was found next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A probe, every byte as it was sent.
    Whole(Stamp),
    /// A probe of which a byte was changed or is missing; the offset of the first such byte.
    Damaged { seq: u64, at: usize },
    /// So many bytes that belong to no probe.
    Foreign(usize),
}

/// Takes apart what one connection brings.
#[derive(Debug)]
pub(super) struct Checker {
    run: Run,
    size: usize,
    /// The beginning of the next thing; shorter than a probe between calls.
    kept: Vec<u8>,
    /// Foreign bytes that were let go of and not told yet.
    foreign: usize,
    expected: Vec<u8>,
}

impl Checker {
    /// For probes of this size, at least one byte.
    pub(super) fn new(run: Run, size: usize) -> Self {
        Checker { run, size: size.max(1), kept: Vec::new(), foreign: 0, expected: Vec::new() }
    }

    /// The next thing found in `bytes`, from which what was looked at is taken away; `oldest` is the probe whose answer
    /// is due next. Call it until it finds nothing more.
    pub(super) fn next(&mut self, bytes: &mut &[u8], oldest: Option<Stamp>) -> Option<Found> {
        loop {
            let room = self.size - self.kept.len();
            let (taken, rest) = bytes.split_at(room.min(bytes.len()));
            self.kept.extend_from_slice(taken);
            *bytes = rest;
            if let Some(found) = self.judge(oldest) {
                return Some(found);
            }
            if bytes.is_empty() {
                return None;
            }
        }
    }

    /// What is left cannot become a probe any more: the connection has ended.
    pub(super) fn rest(&mut self) -> Option<Found> {
        let left = std::mem::take(&mut self.kept);
        // The beginning of an answer is a loss, which is told elsewhere.
        let begun = self.size >= SPEAKS && is_beginning(&left, &self.run.mark());
        let foreign = std::mem::take(&mut self.foreign) + if begun { 0 } else { left.len() };
        (foreign > 0).then_some(Found::Foreign(foreign))
    }

    fn judge(&mut self, oldest: Option<Stamp>) -> Option<Found> {
        if self.kept.is_empty() {
            return None;
        }
        if self.size < SPEAKS {
            return self.judge_by_order(oldest);
        }
        if !is_beginning(&self.kept, &self.run.mark()) {
            return self.judge_stranger(oldest);
        }
        if self.foreign > 0 {
            return Some(Found::Foreign(std::mem::take(&mut self.foreign)));
        }
        if self.kept.len() < self.size {
            return None;
        }
        let stamp = self.run.read(&self.kept)?;
        let Some(at) = self.first_difference(stamp) else {
            self.kept.clear();
            return Some(Found::Whole(stamp));
        };
        // Number or time may be what was changed: what is expected knows better.
        let (stamp, at) = match oldest {
            Some(oldest) if self.resembles(oldest) => {
                (oldest, self.first_difference(oldest).unwrap_or(at))
            }
            _ => (stamp, at),
        };
        let end = self.next_mark(1);
        // The end of a damaged probe is a beginning only by chance, unless bytes were lost.
        let end = if end + MARK > self.size && self.ends_like(stamp) { self.size } else { end };
        self.kept.drain(..end);
        Some(Found::Damaged { seq: stamp.seq, at })
    }

    /// No mark where one should be: a damaged one, or foreign bytes.
    fn judge_stranger(&mut self, oldest: Option<Stamp>) -> Option<Found> {
        let next = self.next_mark(0);
        let expects = oldest.filter(|_| self.foreign == 0);
        if next < self.kept.len() || expects.is_none() {
            self.kept.drain(..next);
            self.foreign += next;
            // With nothing expected there is nothing to wait for.
            if self.kept.is_empty() && oldest.is_none() {
                return Some(Found::Foreign(std::mem::take(&mut self.foreign)));
            }
            return self.judge(oldest);
        }
        if self.kept.len() < self.size {
            return None;
        }
        match expects {
            Some(oldest) if self.resembles(oldest) => {
                let at = self.first_difference(oldest).unwrap_or(0);
                self.kept.clear();
                Some(Found::Damaged { seq: oldest.seq, at })
            }
            _ => {
                self.foreign += self.kept.len();
                self.kept.clear();
                Some(Found::Foreign(std::mem::take(&mut self.foreign)))
            }
        }
    }

    /// Without a head the answers are what is expected, in order.
    fn judge_by_order(&mut self, oldest: Option<Stamp>) -> Option<Found> {
        let Some(oldest) = oldest else {
            let count = self.kept.len();
            self.kept.clear();
            return Some(Found::Foreign(count));
        };
        if self.kept.len() < self.size {
            return None;
        }
        let difference = self.first_difference(oldest);
        self.kept.clear();
        Some(difference.map_or(Found::Whole(oldest), |at| Found::Damaged { seq: oldest.seq, at }))
    }

    /// Where a mark, or the beginning of one at the end, stands from `from` on; where there is none, the end.
    fn next_mark(&self, from: usize) -> usize {
        let mark = self.run.mark();
        let rest = self.kept.get(from..).unwrap_or_default();
        let found = rest.iter().enumerate().find(|&(at, byte)| {
            *byte == mark[0] && is_beginning(rest.get(at..).unwrap_or_default(), &mark)
        });
        found.map_or(self.kept.len(), |(at, _)| from + at)
    }

    fn expect(&mut self, stamp: Stamp) {
        self.expected.resize(self.size, 0);
        self.run.write(stamp, &mut self.expected);
    }

    fn first_difference(&mut self, stamp: Stamp) -> Option<usize> {
        self.expect(stamp);
        if self.kept == self.expected {
            return None;
        }
        Some(self.kept.iter().zip(&self.expected).take_while(|(a, b)| a == b).count())
    }

    /// Half of it is right.
    fn resembles(&mut self, stamp: Stamp) -> bool {
        self.expect(stamp);
        let alike = self.kept.iter().zip(&self.expected).filter(|(a, b)| a == b).count();
        alike * 2 >= self.size
    }

    fn ends_like(&mut self, stamp: Stamp) -> bool {
        self.expect(stamp);
        let tail = self.size.saturating_sub(MARK);
        self.kept.get(tail..) == self.expected.get(tail..)
    }
}

/// Whether `bytes` begins with `mark`, as far as there is anything of it.
fn is_beginning(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.iter().zip(mark).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests;
