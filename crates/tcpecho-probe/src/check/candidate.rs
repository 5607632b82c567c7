//! Bytes that may be the answer to a probe, compared with it as they arrive.

use super::{Found, mark::Mark};
use crate::payload::{MARK, Run, Stamp};

/// The most bytes compared at a time.
const PIECE: usize = 4096;
const SMALLEST_PIECE: usize = 32;
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

#[derive(Debug)]
pub(super) struct Candidate {
    run: Run,
    size: usize,
    stamp: Stamp,
    kind: Kind,
    len: usize,
    /// The offset of the first wrong byte.
    difference: Option<usize>,
    /// The number of correct bytes.
    alike: usize,
    /// The number of correct bytes at the end.
    alike_at_end: usize,
    /// With how many bytes of a mark the bytes end.
    mark: usize,
}

/// Where it ends, and how many bytes of a mark that follows have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) len: usize,
    pub(super) mark: usize,
}

impl Candidate {
    pub(super) fn new(run: Run, size: usize, stamp: Stamp, kind: Kind) -> Self {
        let (len, alike, alike_at_end, mark) = (0, 0, 0, 0);
        Candidate { run, size, stamp, kind, len, difference: None, alike, alike_at_end, mark }
    }

    /// Returns the number of bytes taken.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether it may be the beginning of the answer.
    pub(super) fn is_beginning(&self) -> bool {
        self.difference.is_none() || matches!(self.kind, Kind::Known | Kind::Marked)
    }

    /// Takes bytes, up to its end at most. Returns how many, and how many comparisons were made.
    pub(super) fn take(&mut self, bytes: &[u8], mark: &Mark) -> (usize, usize) {
        // Small pieces first: what ends soon costs little.
        let piece = self.len.clamp(SMALLEST_PIECE, PIECE).min(self.size - self.len);
        let bytes = bytes.get(..piece).unwrap_or(bytes);
        let mut expected = [0; PIECE];
        let expected = &mut expected[..bytes.len()];
        self.run.write_part(self.stamp, self.size, self.len, expected);
        let mut used = 0;
        if self.difference.is_none() {
            used = if bytes == expected {
                bytes.len()
            } else {
                bytes.iter().zip(&*expected).take_while(|(a, b)| a == b).count()
            };
            self.len += used;
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
            self.alike_at_end = if byte == expected { self.alike_at_end + 1 } else { 0 };
            self.alike += usize::from(byte == expected);
            if self.kind != Kind::ByOrder {
                self.mark = mark.advance(self.mark, *byte);
            }
            if self.mark == MARK {
                break;
            }
        }
        (used, bytes.len() + used)
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
            self.mark = last.iter().fold(0, |begun, byte| mark.advance(begun, *byte));
        }
    }

    /// Its end, once it has come: the next mark, or its own length.
    pub(super) fn end(&self) -> Option<End> {
        let whole = self.difference.is_none() || self.alike_at_end >= MARK;
        match self.mark {
            MARK => Some(End { len: self.len - MARK, mark: MARK }),
            _ if self.len < self.size => None,
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
            Kind::Known | Kind::ByOrder => true,
            Kind::Marked => at >= ENOUGH || half,
            Kind::Unmarked => half,
        };
        is_answer.then_some(Found::Damaged { seq: self.stamp.seq, at: at.min(len) })
    }
}
