//! Latencies in bounded memory: HDR histograms in nanoseconds with three significant digits. All have the
//! same bounds, so that adding them is exact.

use hdrhistogram::Histogram;

/// The longest time that is recorded as it is; a longer one is recorded as this.
const LONGEST: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;
/// Three digits need 2000 buckets, which are 11 bits.
const DIGITS_IN_BITS: u32 = 11;

/// A histogram of times in nanoseconds, with three significant digits. The shortest and the longest time are exact.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    histogram: Histogram<u64>,
    /// `u64::MAX` and 0 while it is empty.
    shortest: u64,
    longest: u64,
}

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
        let histogram = Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("valid bounds");
        Self { histogram, shortest: u64::MAX, longest: 0 }
    }

    /// Records one time.
    pub fn record(&mut self, nanoseconds: u64) {
        self.record_many(nanoseconds, 1);
    }

    /// Records a time `count` times.
    pub fn record_many(&mut self, nanoseconds: u64, count: u64) {
        if count == 0 {
            return;
        }
        let nanoseconds = nanoseconds.clamp(1, LONGEST);
        self.histogram.saturating_record_n(nanoseconds, count);
        self.shortest = self.shortest.min(nanoseconds);
        self.longest = self.longest.max(nanoseconds);
    }

    /// Narrows the shortest and the longest time, for a histogram from a file, which has only their buckets. What is not in
    /// these buckets is ignored.
    pub fn set_extremes(&mut self, shortest: u64, longest: u64) {
        if Self::bucket_start(shortest) == Self::bucket_start(self.shortest) {
            self.shortest = shortest.max(1);
        }
        if Self::bucket_start(longest) == Self::bucket_start(self.longest) {
            self.longest = longest;
        }
        self.longest = self.longest.max(self.shortest);
    }

    /// Returns the shortest time in the same bucket as this one.
    #[must_use]
    pub fn bucket_start(nanoseconds: u64) -> u64 {
        // From 2048 on there are 1024 buckets between powers of two; each shorter time has its own.
        let bits = u64::BITS - nanoseconds.leading_zeros();
        let shift = bits.saturating_sub(DIGITS_IN_BITS);
        nanoseconds >> shift << shift
    }

    /// Returns how many times were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Returns whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// Adds the counts of another histogram, exactly.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds: nothing can be out of range.
        let _ = self.histogram.add(&other.histogram);
        self.shortest = self.shortest.min(other.shortest);
        self.longest = self.longest.max(other.longest);
    }

    /// Returns the time that the share `q` of all times did not exceed, and never one beyond the shortest or the longest;
    /// `None` if it is empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let time = self.histogram.value_at_quantile(q);
        (!self.is_empty()).then(|| time.clamp(self.shortest, self.longest))
    }

    /// Returns the shortest time.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.shortest)
    }

    /// Returns the longest time.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.longest)
    }

    /// Returns the mean. It is not beyond the shortest or the longest time, however it was rounded.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let (min, max) = (self.min()? as f64, self.max()? as f64);
        Some(self.histogram.mean().clamp(min, max))
    }

    /// Returns the standard deviation.
    #[must_use]
    pub fn stdev(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.histogram.stdev())
    }

    /// Returns how many times are in this range, both ends included.
    #[must_use]
    pub fn between(&self, low: u64, high: u64) -> u64 {
        self.histogram.count_between(low, high)
    }

    /// Returns the histogram of the crate `hdrhistogram`, for encoding.
    #[must_use]
    pub fn inner(&self) -> &Histogram<u64> {
        &self.histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_are_those_of_one_bucket() {
        let mut value = 1_u64;
        while value < LONGEST {
            for time in [value, value + 1, value * 2 - 1] {
                let all = Times::new();
                let (low, real) = (Times::bucket_start(time), all.inner().lowest_equivalent(time));
                assert_eq!(low, real, "{time}");
            }
            value = value * 3 / 2 + 1;
        }
    }

    #[test]
    fn values_out_of_range_count_at_the_ends() {
        let mut times = Times::new();
        assert_eq!((times.quantile(0.5), times.max()), (None, None));
        times.record(0);
        times.record(u64::MAX);
        assert_eq!(times.count(), 2);
        assert!(times.max().unwrap() >= LONGEST);
    }

    #[test]
    fn no_quantile_is_beyond_the_extremes() {
        let mut times = Times::new();
        let (shortest, longest) = (68_490, 1_000_001);
        times.record(longest);
        times.record_many(shortest, 10);
        for q in [0.0, 0.1, 0.5, 0.9, 0.99, 1.0] {
            let time = times.quantile(q).unwrap();
            assert!((shortest..=longest).contains(&time), "{q}: {time}");
        }
        assert_eq!((times.min(), times.max()), (Some(shortest), Some(longest)));
        let mut one = Times::new();
        one.record_many(shortest, 3);
        assert_eq!([0.0, 0.5, 1.0].map(|q| one.quantile(q)), [Some(shortest); 3]);
        // As from a file: within the bucket only.
        one.set_extremes(shortest + 2, 7);
        assert_eq!((one.min(), one.max()), (Some(shortest + 2), Some(shortest + 2)));
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
