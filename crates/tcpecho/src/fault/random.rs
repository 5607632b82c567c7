//! Numbers that are a function of the seed (SplitMix64: Steele, Lea, Flood, OOPSLA 2014).

use std::time::Duration;

/// A stream of numbers, the same for the same seed and connection.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The numbers of connection `n`. They do not depend on other connections, so threads cannot change them.
    pub(super) fn new(seed: u64, n: u64) -> Self {
        let mut random = Random(seed);
        let start = random.next() ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03);
        Random(start)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 to 1, without 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A time from `time - jitter` to `time + jitter`.
    pub(super) fn time(&mut self, time: Duration, jitter: Duration) -> Duration {
        if jitter.is_zero() {
            return time;
        }
        time.saturating_sub(jitter) + (jitter * 2).mul_f64(self.unit())
    }
}

/// A seed for those who name none.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Small enough to be typed again.
    RandomState::new().build_hasher().finish() >> 32
}
