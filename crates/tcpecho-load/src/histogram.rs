//! Latencies in bounded memory: HDR histograms in nanoseconds with three significant digits. All have the
//! same bounds, so that adding them is exact.

use hdrhistogram::Histogram;

/// The longest time that is recorded as it is; a longer one is recorded as this.
const LONGEST: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;
/// Three digits need 2000 buckets, which are 11 bits.
const DIGITS_IN_BITS: u32 = 11;

/// A histogram of times in nanoseconds, with three significant digits.
#[derive(Debug, Clone, PartialEq)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self::new()
    }
}

impl Times {
    /// Creates an empty histogram.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "the bounds are constants that are valid")]
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("valid bounds"))
    }

    /// Records one time.
    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds.max(1));
    }

    /// Records a time `count` times.
    pub fn record_many(&mut self, nanoseconds: u64, count: u64) {
        self.0.saturating_record_n(nanoseconds.max(1), count);
    }

    /// Returns the shortest time in the same bucket as this one.
    #[must_use]
    pub fn alike(nanoseconds: u64) -> u64 {
        // From 2048 on there are 1024 buckets between powers of two; each shorter time has its own.
        let bits = u64::BITS - nanoseconds.leading_zeros();
        let shift = bits.saturating_sub(DIGITS_IN_BITS);
        nanoseconds >> shift << shift
    }

    /// Returns how many times were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the counts of another histogram, exactly.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds: nothing can be out of range.
        let _ = self.0.add(&other.0);
    }

    /// Returns the time that the share `q` of all times did not exceed; `None` if it is empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        (!self.is_empty()).then(|| self.0.value_at_quantile(q))
    }

    /// Returns the shortest time.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.0.min())
    }

    /// Returns the longest time.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.0.max())
    }

    /// Returns the mean. It is not beyond the shortest or the longest time, however it was rounded.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let (min, max) = (self.min()? as f64, self.max()? as f64);
        Some(self.0.mean().clamp(min, max))
    }

    /// Returns the standard deviation.
    #[must_use]
    pub fn stdev(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.0.stdev())
    }

    /// Returns how many times are in this range, both ends included.
    #[must_use]
    pub fn between(&self, low: u64, high: u64) -> u64 {
        self.0.count_between(low, high)
    }

    /// Returns the histogram of the crate `hdrhistogram`, for encoding.
    #[must_use]
    pub fn inner(&self) -> &Histogram<u64> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_is_what_shares_a_bucket() {
        let mut value = 1_u64;
        while value < LONGEST {
            for time in [value, value + 1, value * 2 - 1] {
                let all = Times::new();
                let (low, real) = (Times::alike(time), all.inner().lowest_equivalent(time));
                assert_eq!(low, real, "{time}");
            }
            value = value * 3 / 2 + 1;
        }
    }

    #[test]
    fn out_of_range_counts_at_the_ends() {
        let mut times = Times::new();
        assert_eq!((times.quantile(0.5), times.max()), (None, None));
        times.record(0);
        times.record(u64::MAX);
        assert_eq!(times.count(), 2);
        assert!(times.max().unwrap() >= LONGEST);
    }

    /// The bounds are those of a bucket: three significant digits.
    #[test]
    fn a_quantile_is_the_time_that_this_share_did_not_exceed() {
        let mut times = Times::new();
        for milliseconds in 1..=1000 {
            times.record(milliseconds * 1_000_000);
        }
        for (q, milliseconds) in
            [(0.0, 1), (0.5, 500), (0.9, 900), (0.99, 990), (0.999, 999), (1.0, 1000)]
        {
            let time = times.quantile(q).unwrap() as f64 / 1e6;
            assert!((time / f64::from(milliseconds) - 1.0).abs() < 0.002, "{q}: {time} ms");
        }
    }
}
