//! Latencies in a result: the usual figures for a reader, the whole histogram for merging.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use tcpecho_load::Times;

use crate::bench::histogram::{decoded, encoded};

/// Fewer times may be the same in two runs.
const TELLING: u64 = 20;

/// Latencies with their usual figures, and the whole histogram for merging. It is kept as it is written,
/// which is a hundred times smaller than what it is decoded to: a result may have thousands of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Encoded", into = "Encoded")]
pub(in crate::bench) struct Distribution(Encoded);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Encoded {
    count: u64,
    min_ns: u64,
    mean_ns: f64,
    stdev_ns: f64,
    #[serde(rename = "p50_ns")]
    p50: u64,
    #[serde(rename = "p90_ns")]
    p90: u64,
    #[serde(rename = "p99_ns")]
    p99: u64,
    #[serde(rename = "p99_9_ns")]
    p999: u64,
    #[serde(rename = "p99_99_ns")]
    p9999: u64,
    max_ns: u64,
    hdr_v2_base64: String,
}

impl Encoded {
    fn times(&self) -> Result<Times, String> {
        let mut times = decoded(&self.hdr_v2_base64)?;
        times.set_extremes(self.min_ns, self.max_ns);
        Ok(times)
    }
}

impl From<Distribution> for Encoded {
    fn from(Distribution(encoded): Distribution) -> Self {
        encoded
    }
}

impl TryFrom<Encoded> for Distribution {
    type Error = String;

    /// The figures are those of the histogram, whatever a file says; only the extremes, which are exact, are the file's.
    fn try_from(encoded: Encoded) -> Result<Self, String> {
        let times = encoded.times()?;
        Self::of(&times).ok_or_else(|| "an empty histogram".to_owned())
    }
}

impl Distribution {
    /// None without a time.
    pub(in crate::bench) fn of(times: &Times) -> Option<Self> {
        if times.is_empty() {
            return None;
        }
        let quantile = |q| times.quantile(q).unwrap_or_default();
        Some(Self(Encoded {
            count: times.count(),
            min_ns: times.min().unwrap_or_default(),
            mean_ns: times.mean().unwrap_or_default(),
            stdev_ns: times.stdev().unwrap_or_default(),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            p9999: quantile(0.9999),
            max_ns: times.max().unwrap_or_default(),
            hdr_v2_base64: encoded(times),
        }))
    }

    /// The histogram.
    pub(in crate::bench) fn times(&self) -> Times {
        // It was decoded once already, or encoded here.
        self.0.times().unwrap_or_default()
    }

    /// What tells it from others; None where it is too small for that.
    pub(in crate::bench) fn fingerprint(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        self.0.hdr_v2_base64.hash(&mut hasher);
        (self.0.count >= TELLING).then(|| hasher.finish())
    }

    pub(in crate::bench) fn count(&self) -> u64 {
        self.0.count
    }

    pub(in crate::bench) fn p99(&self) -> u64 {
        self.0.p99
    }

    /// Adds the other's, exactly.
    pub(super) fn merge(into: &mut Option<Self>, other: Option<&Self>) {
        match (into.as_mut(), other) {
            (Some(one), Some(more)) => {
                let mut times = one.times();
                times.add(&more.times());
                *into = Self::of(&times);
            }
            (None, Some(more)) => *into = Some(more.clone()),
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extremes_are_exact_after_writing_and_reading() {
        let mut times = Times::new();
        for time in [68_490, 68_499, 1_000_001] {
            times.record(time);
        }
        let text = serde_json::to_string(&Distribution::of(&times)).unwrap();
        let read: Distribution = serde_json::from_str(&text).unwrap();
        let Encoded { min_ns, p50, p9999, max_ns, .. } = read.0;
        assert_eq!((min_ns, max_ns, p9999), (68_490, 1_000_001, 1_000_001), "{text}");
        assert!((min_ns..=max_ns).contains(&p50), "{text}");
    }
}
