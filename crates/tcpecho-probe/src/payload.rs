//! The bytes of a probe: a mark of the run, its number, when it was due, and a pattern that depends on all of these and on
//! the position.
//!
//! ```text
//! 0     4     8            16           24                    size
//! | TPNG| run | number     | due, in ns | pattern ...          |
//! ```
//!
//! The pattern confirms number and time. A probe without room for eight bytes of pattern is pattern only, and is known by its
//! order alone.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    iter,
    time::SystemTime,
};

/// The first bytes of every probe.
const MAGIC: [u8; 4] = *b"TPNG";
/// Bytes of the mark, which only probes of this run have.
pub(crate) const MARK: usize = 8;
/// Mark, number and time.
const HEAD: usize = 24;
/// The smallest probe with mark, number and time.
pub(crate) const SMALLEST_NUMBERED: usize = HEAD + 8;

/// The number of a run. It tells its probes from those of other probers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run(pub(crate) u32);

/// What a probe says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The number, from 1.
    pub(crate) seq: u64,
    /// When it was due, in nanoseconds since the run began.
    pub(crate) due_ns: u64,
}

impl Run {
    /// Creates a number. It needs no secret, and so no random number generator, which could fail.
    pub(crate) fn new() -> Self {
        let mut hasher = DefaultHasher::new();
        (SystemTime::now(), std::process::id()).hash(&mut hasher);
        Run(hasher.finish() as u32)
    }

    /// Returns the first bytes of all its probes.
    pub(crate) fn mark(self) -> [u8; MARK] {
        let mut mark = [0; MARK];
        mark[..4].copy_from_slice(&MAGIC);
        mark[4..].copy_from_slice(&self.0.to_be_bytes());
        mark
    }

    /// Writes the probe with this stamp and the size of the slice.
    #[cfg(test)]
    pub(crate) fn write(self, stamp: Stamp, probe: &mut [u8]) {
        self.write_part(stamp, probe.len(), 0, probe);
    }

    /// Writes a part, from `offset` on, of the probe with this stamp and of `size` bytes.
    pub(crate) fn write_part(self, stamp: Stamp, size: usize, offset: usize, part: &mut [u8]) {
        let head = if size >= SMALLEST_NUMBERED { HEAD } else { 0 };
        let (in_head, pattern) = part.split_at_mut(head.saturating_sub(offset).min(part.len()));
        let fields = [self.mark(), stamp.seq.to_be_bytes(), stamp.due_ns.to_be_bytes()];
        for (to, from) in in_head.iter_mut().zip(fields.as_flattened().iter().skip(offset)) {
            *to = *from;
        }
        let key = self.key(stamp);
        let from = offset.max(head) - head;
        let (mut index, skipped) = ((from / 8) as u64, from % 8);
        let (first, others) = pattern.split_at_mut((8 - skipped).min(pattern.len()));
        for (word, skipped) in
            iter::once((first, skipped)).chain(others.chunks_mut(8).zip(iter::repeat(0)))
        {
            let bytes = mixed(key, index).to_le_bytes();
            for (to, from) in word.iter_mut().zip(bytes.into_iter().skip(skipped)) {
                *to = from;
            }
            index += 1;
        }
    }

    /// Returns where the probe with this stamp and of `size` bytes has these eight bytes of its pattern.
    pub(crate) fn locate(self, stamp: Stamp, size: usize, word: [u8; 8]) -> Option<usize> {
        let words = size.checked_sub(SMALLEST_NUMBERED)? / 8 + 1;
        let index = index_of(self.key(stamp), u64::from_le_bytes(word));
        let index = usize::try_from(index).ok().filter(|index| *index < words)?;
        Some(HEAD + index * 8)
    }

    /// Returns what the pattern depends on besides the position.
    fn key(self, stamp: Stamp) -> u64 {
        u64::from(self.0) ^ stamp.seq.rotate_left(20) ^ stamp.due_ns.rotate_left(40)
    }

    /// Reads the stamp, if the bytes begin with the mark of this run.
    pub(crate) fn read(self, bytes: &[u8]) -> Option<Stamp> {
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        let number = |at: usize| Some(u64::from_be_bytes(*head.get(at..)?.first_chunk()?));
        if !head.starts_with(&self.mark()) {
            return None;
        }
        Some(Stamp { seq: number(8)?, due_ns: number(16)? })
    }
}

const BY_KEY: u64 = 0xD134_2543_DE82_EF95;
const BY_INDEX: u64 = 0x9E37_79B9_7F4A_7C15;
const FIRST_MIX: u64 = 0xBF58_476D_1CE4_E5B9;
const SECOND_MIX: u64 = 0x94D0_49BB_1331_11EB;

/// SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of both.
fn mixed(key: u64, index: u64) -> u64 {
    let mut z = key.wrapping_mul(BY_KEY).wrapping_add(index.wrapping_add(1).wrapping_mul(BY_INDEX));
    z = (z ^ (z >> 30)).wrapping_mul(FIRST_MIX);
    z = (z ^ (z >> 27)).wrapping_mul(SECOND_MIX);
    z ^ (z >> 31)
}

/// Returns the index for which [`mixed`] gives `word`. Each of its steps can be undone, so there is exactly one.
fn index_of(key: u64, word: u64) -> u64 {
    let mut z = word ^ (word >> 31) ^ (word >> 62);
    z = z.wrapping_mul(const { inverse(SECOND_MIX) });
    z = (z ^ (z >> 27) ^ (z >> 54)).wrapping_mul(const { inverse(FIRST_MIX) });
    z = z ^ (z >> 30) ^ (z >> 60);
    let index = z.wrapping_sub(key.wrapping_mul(BY_KEY));
    index.wrapping_mul(const { inverse(BY_INDEX) }).wrapping_sub(1)
}

/// Returns the inverse of an odd number modulo 2^64, by Newton's iteration: each step doubles the number of correct bits,
/// of which an odd number has three.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut bits = 3;
    while bits < u64::BITS {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_probe_says_who_it_is_if_it_has_room() {
        let (run, stamp) = (Run(7), Stamp { seq: 9, due_ns: 123 });
        for size in [1, 8, 31, 32, 33, 1000] {
            let mut probe = vec![0; size];
            run.write(stamp, &mut probe);
            assert_eq!(run.read(&probe), Some(stamp).filter(|_| size >= SMALLEST_NUMBERED));
            assert_eq!(Run(8).read(&probe), None);
        }
    }

    proptest! {
        #[test]
        fn a_word_of_the_pattern_is_located(seq: u64, due_ns: u64, size in SMALLEST_NUMBERED..5000, index: usize) {
            let (run, stamp) = (Run(7), Stamp { seq, due_ns });
            let mut probe = vec![0; size];
            run.write(stamp, &mut probe);
            let at = HEAD + index % ((size - HEAD) / 8) * 8;
            prop_assert_eq!(run.locate(stamp, size, *probe[at..].first_chunk().unwrap()), Some(at));
            let other = Stamp { seq: seq.wrapping_add(1), due_ns };
            prop_assert_eq!(run.locate(other, size, *probe[at..].first_chunk().unwrap()), None);
        }

        #[test]
        fn a_part_is_what_stands_there(size in 1_usize..200, from in 0_usize..200, to in 0_usize..200) {
            let (run, stamp) = (Run(7), Stamp { seq: 9, due_ns: 123 });
            let mut whole = vec![0; size];
            run.write(stamp, &mut whole);
            let (from, to) = (from.min(to).min(size), from.max(to).min(size));
            let mut part = vec![0; to - from];
            run.write_part(stamp, size, from, &mut part);
            prop_assert_eq!(&part, &whole[from..to]);
        }
    }

    #[test]
    fn no_two_probes_and_no_two_places_are_alike() {
        let probe = |seq| {
            let mut probe = vec![0; 1 << 12];
            Run(7).write(Stamp { seq, due_ns: 0 }, &mut probe);
            probe.split_off(HEAD)
        };
        let (one, two) = (probe(1), probe(2));
        let alike = one.iter().zip(&two).filter(|(a, b)| a == b).count();
        assert!(alike < one.len() / 64, "{alike}");
        assert!(one.chunks(8).collect::<std::collections::HashSet<_>>().len() >= one.len() / 8);
    }
}
