//! Latencies in bounded memory: HDR histograms in nanoseconds with three significant digits, all of
//! one shape, so that adding them loses nothing.

pub(super) mod decode;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

/// The longest time told apart; longer ones count as this.
const LONGEST: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;
/// Times that a histogram from a file, or the sum of several, can have: no larger count can be encoded, and
/// no sum of counts overflows.
pub(super) const MOST: u64 = i64::MAX as u64;
/// Three digits need 2000 places, which is 11 bits.
const DIGITS_IN_BITS: u32 = 11;

/// The quantiles that reports show, by their names.
pub(super) const QUANTILES: &[(&str, f64)] =
    &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// A histogram of times in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Times(Histogram<u64>);

impl Times {
    /// An empty one.
    #[allow(clippy::missing_panics_doc, reason = "the bounds are constants that are valid")]
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("valid bounds"))
    }

    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds.max(1));
    }

    pub(super) fn record_many(&mut self, nanoseconds: u64, count: u64) {
        self.0.saturating_record_n(nanoseconds.max(1), count);
    }

    /// The shortest time that is counted in the same place as this one.
    pub(super) fn alike(nanoseconds: u64) -> u64 {
        // From 2048 on there are 1024 places between powers of two; all below has its own place.
        let bits = u64::BITS - nanoseconds.leading_zeros();
        let shift = bits.saturating_sub(DIGITS_IN_BITS);
        nanoseconds >> shift << shift
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the other's counts, exactly.
    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds: nothing can be out of range.
        let _ = self.0.add(&other.0);
    }

    /// The time that the share `q` of all did not exceed; `None` without any.
    pub(super) fn quantile(&self, q: f64) -> Option<u64> {
        (!self.is_empty()).then(|| self.0.value_at_quantile(q))
    }

    pub(super) fn min(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.0.min())
    }

    pub(super) fn max(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.0.max())
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.0.mean())
    }

    pub(super) fn stdev(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.0.stdev())
    }

    /// How many lie in this range, both ends included.
    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        self.0.count_between(low, high)
    }

    /// The histogram as the library has it, for its log writer.
    pub(super) fn inner(&self) -> &Histogram<u64> {
        &self.0
    }

    /// In the V2 format, deflated and in base64, as it stands in a log.
    pub(super) fn encoded(&self) -> String {
        let mut bytes = Vec::new();
        match V2DeflateSerializer::new().serialize(&self.0, &mut bytes) {
            Ok(_) => STANDARD.encode(bytes),
            Err(_) => String::new(),
        }
    }

    /// Reads what [`Times::encoded`] or another HDR tool wrote.
    pub(super) fn decoded(text: &str) -> Result<Self, String> {
        let bytes =
            STANDARD.decode(text).map_err(|error| format!("not an HDR histogram: {error}"))?;
        decode::decode(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_exact_and_so_is_writing_and_reading() {
        let (mut all, mut parts) = (Times::new(), [Times::new(), Times::new(), Times::new()]);
        let mut value = 1_u64;
        for n in 0..30_000 {
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            let time = (value >> 33) * (1 + n % 1000);
            all.record(time);
            parts[n as usize % 3].record(time);
        }
        let mut merged = Times::new();
        for part in &parts {
            merged.add(&Times::decoded(&part.encoded()).unwrap());
        }
        assert!(merged == all);
        assert_eq!(merged.quantile(0.999), all.quantile(0.999));
        assert_eq!(merged.count(), 30_000);
    }

    #[test]
    fn alike_is_what_shares_a_place() {
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
    fn no_bytes_panic() {
        let mut times = Times::new();
        (1..2000_u64).for_each(|n| times.record(n * n * 31));
        let mut whole = Vec::new();
        // Without the compression, behind which no change would be seen.
        let mut plain = hdrhistogram::serialization::V2Serializer::new();
        plain.serialize(&times.0, &mut whole).unwrap();
        let mut state = 1_u64;
        for round in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (state >> 33) as usize;
                let at = if round % 2 == 0 { at % 40 } else { at % bytes.len() };
                bytes[at] = (state >> 20) as u8;
            }
            if state.is_multiple_of(5) {
                bytes.truncate((state >> 40) as usize % bytes.len());
            }
            let _ = Times::decoded(&STANDARD.encode(&bytes));
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
        assert!(Times::decoded("not a histogram").is_err());
        assert!(Times::decoded("").is_err());
    }
}
