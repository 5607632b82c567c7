//! How a result compares with an earlier one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Settings, Summary, bounded};
use crate::{
    threshold::QUANTILES,
    units::{count, list, rate},
};

/// What `--baseline` came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::bench) struct BaselinePart {
    pub(in crate::bench) file: String,
    /// By the names that conditions have: 0.1 is 10 % more than in the baseline.
    #[serde(deserialize_with = "bounded::map::<_, _, 64>")]
    pub(in crate::bench) changes: BTreeMap<String, f64>,
    /// Where the baseline is of another kind of run.
    #[serde(deserialize_with = "bounded::list::<_, _, 64>")]
    pub(in crate::bench) differences: Vec<String>,
}

impl BaselinePart {
    pub(in crate::bench) fn of(file: String, now: &Summary, before: &Summary) -> Self {
        let (figures, earlier) = (now.figures(), before.figures());
        let changes =
            figures.named().zip(earlier.named()).filter_map(|((name, now), (_, before))| {
                let (now, before) = (now?, before.filter(|before| *before > 0.0)?);
                Some((name.to_owned(), now / before - 1.0))
            });
        Self {
            file,
            changes: changes.collect(),
            differences: differences_in_words(&now.settings, &before.settings),
        }
    }

    /// The changes in one line.
    pub(in crate::bench) fn words(&self) -> String {
        let mut names: Vec<_> = self.changes.iter().collect();
        names.sort_by_key(|(name, _)| (place(name), name.as_str()));
        let words: Vec<String> = names
            .iter()
            .map(|(name, change)| format!("{name} {:+.1} %", *change * 100.0))
            .collect();
        if words.is_empty() { "no figure that both have".to_owned() } else { words.join(", ") }
    }
}

/// Throughput, mean, the quantiles from the lowest to the highest, max; then what a later version may have.
fn place(name: &str) -> usize {
    let quantiles = QUANTILES.iter().map(|(name, _)| *name);
    let order = ["throughput", "mean"].into_iter().chain(quantiles).chain(["max"]);
    order.into_iter().position(|known| known == name).unwrap_or(usize::MAX)
}

/// In what the two runs were not the same kind of run, in words.
fn differences_in_words(now: &Settings, before: &Settings) -> Vec<String> {
    if before.connections.is_none() {
        return vec!["what kind of run it was is not known".to_owned()];
    }
    let all = differences(now, before).into_iter();
    all.map(|(before, now)| format!("{before} there, {now} here")).collect()
}

/// In what the two runs were not the same kind of run: first what was before, then what is now. Nothing is known of the run
/// of an HDR log.
pub(in crate::bench) fn differences(now: &Settings, before: &Settings) -> Vec<(String, String)> {
    if before.connections.is_none() || now.connections.is_none() {
        return Vec::new();
    }
    let sizes = |settings: &Settings| {
        let all: Vec<u64> = settings.sizes_bytes.iter().flatten().take(8).copied().collect();
        format!("{} B", list(&all))
    };
    let unknown = || "unknown".to_owned();
    let plural = |n: u64| format!("{} connection{}", count(n), if n == 1 { "" } else { "s" });
    let connections = |settings: &Settings| settings.connections.map_or_else(unknown, plural);
    let workload = |settings: &Settings| settings.workload.clone().unwrap_or_else(unknown);
    let depth =
        |settings: &Settings| settings.depth.map_or_else(unknown, |depth| depth.to_string());
    let close = |settings: &Settings| settings.close.clone().unwrap_or_else(unknown);
    let checked = |settings: &Settings| match settings.checked {
        Some(true) => "compared",
        Some(false) => "not compared",
        None => "compared in some parts only, or in none",
    };
    let all = [
        (workload(before), workload(now)),
        (pace(before), pace(now)),
        (connections(before), connections(now)),
        (sizes(before), sizes(now)),
        (format!("depth {}", depth(before)), format!("depth {}", depth(now))),
        (format!("bytes {}", checked(before)), format!("bytes {}", checked(now))),
        (format!("closed by {}", close(before)), format!("closed by {}", close(now))),
    ];
    all.into_iter().filter(|(before, now)| before != now).collect()
}

fn pace(settings: &Settings) -> String {
    match (settings.rate_from_per_s, settings.rate_to_per_s) {
        (Some(from), Some(to)) if from.to_bits() == to.to_bits() => {
            format!("open loop at {}/s", rate(from))
        }
        (Some(from), Some(to)) => format!("open loop from {} to {}/s", rate(from), rate(to)),
        _ => "closed loop".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_in_the_order_of_the_table() {
        let names = ["max", "p99.9", "p50", "throughput", "p99", "mean", "p90", "p99.99"];
        let changes = names.map(|name| (name.to_owned(), 0.0)).into_iter().collect();
        let part = BaselinePart { file: String::new(), changes, differences: Vec::new() };
        let words = part.words().replace(" +0.0 %", "");
        assert_eq!(words, "throughput, mean, p50, p90, p99, p99.9, p99.99, max");
    }
}
