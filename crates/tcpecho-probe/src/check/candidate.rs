//! Bytes that may be the answer to a probe, compared with it as they arrive.

use super::{Found, mark::Mark};
use crate::payload::{MARK, Run, Stamp};

/// The most bytes compared at a time.
const PIECE: usize = 4096;
const SMALLEST_PIECE: usize = 32;
/// The bytes of a word of the pattern.
const WORD: usize = 8;
/// This many correct bytes, including the mark, are not a coincidence.
const ENOUGH: usize = 12;

/// How the probe is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By its beginning.
    Known,
    /// It begins with a mark, and is the expected probe.
    Marked,
    /// It is the expected probe.
    Unmarked,
    /// It is the expected probe, and probes are too small for a mark.
    ByOrder,
}

/// Bytes remembered of a damaged answer: the head, and as many more as contain a whole word of the pattern.
const RECENT: usize = 24 + 15;

#[derive(Debug)]
pub(super) struct Candidate {
    run: Run,
    size: usize,
    stamp: Stamp,
    kind: Kind,
    /// The number of bytes.
    len: usize,
    /// The offset in the probe of the next byte: `len`, unless bytes are missing or extra.
    position: usize,
    /// The offset of the first wrong byte.
    difference: Option<usize>,
    /// The number of correct bytes.
    alike: usize,
    /// The number of correct bytes at the end.
    alike_at_end: usize,
    /// With how many bytes of a mark the bytes end.
    mark: usize,
    /// A word of the pattern has shown that it is an answer, and at which offset.
    is_aligned: bool,
    /// The last bytes, at least [`RECENT`] if there are as many.
    recent: Vec<u8>,
    /// Bytes that were taken and precede the answer.
    before: usize,
}

/// Where it ends, and how many bytes of a mark that follows have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) len: usize,
    pub(super) mark: usize,
}

impl Candidate {
    pub(super) fn new(run: Run, size: usize, stamp: Stamp, kind: Kind) -> Self {
        Candidate {
            run,
            size,
            stamp,
            kind,
            len: 0,
            position: 0,
            difference: None,
            alike: 0,
            alike_at_end: 0,
            mark: 0,
            is_aligned: false,
            recent: Vec::new(),
            before: 0,
        }
    }

    /// Returns the number of correct bytes, and the number of the probe.
    pub(super) fn correct(&self) -> (u64, usize) {
        (self.stamp.seq, self.alike)
    }

    /// Takes the number of bytes that turned out to precede the answer.
    pub(super) fn take_before(&mut self) -> usize {
        std::mem::take(&mut self.before)
    }

    /// Returns the number of bytes taken.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether it may be the beginning of the answer.
    pub(super) fn is_beginning(&self) -> bool {
        self.difference.is_none()
            || self.is_aligned
            || matches!(self.kind, Kind::Known | Kind::Marked)
    }

    /// Takes bytes, up to its end at most. Returns how many, and how many comparisons were made.
    pub(super) fn take(&mut self, bytes: &[u8], mark: &Mark) -> (usize, usize) {
        // Small pieces first: what ends soon costs little.
        let piece = self.len.clamp(SMALLEST_PIECE, PIECE).min(self.size - self.position);
        let bytes = bytes.get(..piece).unwrap_or(bytes);
        let mut expected = [0; PIECE];
        let expected = &mut expected[..bytes.len()];
        self.run.write_part(self.stamp, self.size, self.position, expected);
        let mut used = 0;
        if self.difference.is_none() {
            used = if bytes == expected {
                bytes.len()
            } else {
                bytes.iter().zip(&*expected).take_while(|(a, b)| a == b).count()
            };
            self.len += used;
            self.position += used;
            self.alike += used;
            self.alike_at_end += used;
            if used < bytes.len() {
                self.difference = Some(self.len);
                self.look_back(mark);
            }
        }
        for (byte, expected) in bytes.iter().zip(&*expected).skip(used) {
            used += 1;
            self.len += 1;
            self.position += 1;
            self.alike_at_end = if byte == expected { self.alike_at_end + 1 } else { 0 };
            self.alike += usize::from(byte == expected);
            if self.kind == Kind::ByOrder {
                continue;
            }
            self.mark = mark.advance(self.mark, *byte);
            // The rest is compared at its new offset.
            if self.mark == MARK || self.align(*byte) {
                break;
            }
        }
        (used, bytes.len() + used)
    }

    /// Looks for a word of the pattern that ends with this byte. Returns whether the offset has changed: bytes are missing, or
    /// there are others before the answer.
    fn align(&mut self, byte: u8) -> bool {
        if self.recent.len() >= 2 * RECENT {
            self.recent.drain(..RECENT);
        }
        self.recent.push(byte);
        let word = self.recent.last_chunk().copied();
        let found = word.and_then(|word| self.run.locate(self.stamp, self.size, word));
        let Some(position) = found.map(|at| at + WORD) else { return false };
        let is_first = !std::mem::replace(&mut self.is_aligned, true);
        // Only forward, except once, so that it ends.
        let may_go_back = is_first && self.kind == Kind::Unmarked;
        if position == self.position || position < self.position && !may_go_back {
            return false;
        }
        let count = self.recent.len().min(position);
        let mut expected = vec![0; count];
        self.run.write_part(self.stamp, self.size, position - count, &mut expected);
        let last = self.recent.iter().rev().zip(expected.iter().rev());
        let alike = last.take_while(|(a, b)| a == b).count();
        if self.kind == Kind::Unmarked && is_first {
            let beginning = self.difference.unwrap_or(0);
            self.before = self.len.saturating_sub(beginning + alike);
            self.len -= self.before;
            self.alike = self.len;
        } else {
            self.alike = (self.alike + alike).min(self.len);
        }
        (self.position, self.alike_at_end) = (position, alike);
        true
    }

    /// The last correct bytes may be the beginning of the next mark.
    fn look_back(&mut self, mark: &Mark) {
        // The mark that it begins with does not count.
        let first = usize::from(self.kind != Kind::Unmarked);
        let from = self.len.saturating_sub(MARK - 1).max(first).min(self.len);
        let mut last = [0; MARK - 1];
        let last = &mut last[..self.len - from];
        self.run.write_part(self.stamp, self.size, from, last);
        if self.kind != Kind::ByOrder {
            self.recent.extend_from_slice(last);
            self.mark = last.iter().fold(0, |begun, byte| mark.advance(begun, *byte));
        }
    }

    /// Its end, once it has come: the next mark, or its own length.
    pub(super) fn end(&self) -> Option<End> {
        let whole = self.difference.is_none() || self.alike_at_end >= MARK;
        match self.mark {
            MARK => Some(End { len: self.len - MARK, mark: MARK }),
            _ if self.position < self.size => None,
            // The end of a damaged probe is the beginning of a mark only by chance, unless bytes were lost.
            begun if !whole => Some(End { len: self.len - begun, mark: begun }),
            _ => Some(End { len: self.len, mark: 0 }),
        }
    }

    /// What it is, if it ends after so many bytes; none if it is not the answer to a probe.
    pub(super) fn verdict(&self, len: usize) -> Option<Found> {
        let Some(at) = self.difference else { return Some(Found::Whole(self.stamp)) };
        let half = self.alike * 2 >= self.size;
        let is_answer = match self.kind {
            _ if self.is_aligned => true,
            Kind::Known | Kind::ByOrder => true,
            Kind::Marked => at >= ENOUGH || half,
            Kind::Unmarked => half,
        };
        let (seq, alike) = (self.stamp.seq, self.alike.min(len));
        is_answer.then_some(Found::Damaged { seq, at: at.min(len), alike })
    }
}
