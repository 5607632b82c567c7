//! Bytes that tell their offset: a long period that no buffer size divides, so that what is lost, doubled or swapped shows.

use std::{ops::Range, sync::OnceLock};

/// A prime a little under a mebibyte.
const PERIOD: usize = 1_048_573;
/// The most bytes that [`piece`] gives.
const PIECE: usize = 128 << 10;

fn bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mut random = Random::new(0x7ec0);
        let mut bytes: Vec<u8> = (0..PERIOD).map(|_| random.next() as u8).collect();
        bytes.extend_from_within(..PIECE);
        bytes
    })
}

/// The bytes of a range, or as many of its first ones as come in one piece.
pub fn piece(range: &Range<usize>) -> &'static [u8] {
    let start = range.start % PERIOD;
    &bytes()[start..][..range.len().min(PIECE)]
}

/// `seen` is the pattern from this offset on.
pub fn verify(mut seen: &[u8], mut at: usize) {
    while !seen.is_empty() {
        let expected = piece(&(at..at + seen.len()));
        let (now, later) = seen.split_at(expected.len());
        if now != expected {
            let first = now.iter().zip(expected).position(|(a, b)| a != b).unwrap();
            panic!("byte {} is {}, not {}", at + first, now[first], expected[first]);
        }
        (seen, at) = (later, at + now.len());
    }
}

/// Numbers that look random and are the same every time (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }
}
