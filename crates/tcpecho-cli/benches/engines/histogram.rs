//! Round-trip times in bounded memory: 32 buckets for each doubling, so a quantile is within 3 %.

use std::time::Duration;

const FINE: u32 = 5;
const BUCKETS: usize = (64 - FINE as usize + 1) << FINE;

pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.counts[bucket(time.as_nanos() as u64)] += 1;
        self.total += 1;
    }

    /// The time in microseconds that the share `q` of all samples did not exceed; NaN without any.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let rank = (q * self.total as f64).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return lowest(index) as f64 / 1e3;
            }
        }
        f64::NAN
    }
}

fn bucket(value: u64) -> usize {
    let power = (64 - value.leading_zeros()).saturating_sub(FINE + 1);
    ((power as usize) << FINE) + (value >> power) as usize
}

fn lowest(bucket: usize) -> u64 {
    let power = (bucket >> FINE).saturating_sub(1);
    ((bucket - (power << FINE)) as u64) << power
}
