//! Latencies in a result: the usual figures for a reader, the whole histogram for merging.

use serde::{Deserialize, Serialize};

use crate::bench::histogram::Times;

/// Latencies with their usual figures, and the whole histogram for merging.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Encoded", into = "Encoded")]
pub(in crate::bench) struct Distribution(pub(in crate::bench) Times);

#[derive(Serialize, Deserialize)]
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

impl From<Distribution> for Encoded {
    fn from(Distribution(times): Distribution) -> Self {
        let quantile = |q| times.quantile(q).unwrap_or_default();
        Encoded {
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
            hdr_v2_base64: times.encoded(),
        }
    }
}

impl TryFrom<Encoded> for Distribution {
    type Error = String;

    fn try_from(encoded: Encoded) -> Result<Self, String> {
        Times::decoded(&encoded.hdr_v2_base64).map(Distribution)
    }
}

impl Distribution {
    pub(super) fn some(times: &Times) -> Option<Self> {
        (!times.is_empty()).then(|| Distribution(times.clone()))
    }

    /// Adds the other's, exactly.
    pub(super) fn merge(into: &mut Option<Self>, other: Option<&Self>) {
        match (into.as_mut(), other) {
            (Some(times), Some(more)) => times.0.add(&more.0),
            (None, Some(more)) => *into = Some(more.clone()),
            (_, None) => {}
        }
    }
}
