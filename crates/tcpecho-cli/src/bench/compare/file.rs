//! A comparison as JSON: written by `--json`, read and merged by `tcpecho bench report`.

use serde::Deserialize;
use tcpecho::Ending;
use tcpecho_load::Times;

use super::{Comparison, ServerResults, median, sorted};
use crate::{
    bench::report::{
        Summary,
        summary::{Distribution, bounded},
        text::printable,
    },
    json_error,
};

/// The form of the JSON; another number when a reader of the old one would be wrong.
pub(in crate::bench) const SCHEMA: &str = "tcpecho-bench-comparison-1";

/// What is read of it: the rest follows from that.
#[derive(Deserialize)]
struct File {
    #[serde(deserialize_with = "bounded::list::<_, _, 1000>")]
    servers: Vec<ServerResults>,
}

impl Comparison {
    pub(in crate::bench) fn json(&self) -> serde_json::Value {
        let best = self.best();
        let one = |one: &ServerResults| {
            let ratio = best.and_then(|best| self.ratio(one, best));
            let ratio = ratio.filter(|ratio| !ratio.at_least);
            let interval = ratio.as_ref().and_then(|ratio| ratio.interval);
            let costs = sorted(one.summaries().filter_map(|s| s.server.cpu_ns_per_unit));
            serde_json::json!({
                "name": one.name,
                "left_out": one.refused,
                "throughput_median_per_s": one.row().filter(|_| !self.idle()).map(|row| row.middle),
                "server_cpu_ns_per_unit_median": median(&costs),
                "slower_by_mean": ratio.as_ref().map(|ratio| ratio.mean),
                "slower_by_low": interval.map(|(low, _)| low),
                "slower_by_high": interval.map(|(_, high)| high),
                "rounds": one.rounds,
            })
        };
        let servers: Vec<serde_json::Value> = self.servers.iter().map(one).collect();
        serde_json::json!({
            "schema": SCHEMA,
            "best": best.map(|best| &best.name),
            "servers": servers,
            "closing": self.closing(),
        })
    }

    /// Reads what [`Comparison::json`] made.
    pub(in crate::bench) fn read(json: &[u8]) -> Result<Self, String> {
        let File { mut servers } = serde_json::from_slice(json).map_err(|error| {
            json_error::sentence("a comparison of tcpecho bench --json", &error)
        })?;
        for one in &mut servers {
            one.name = printable(&one.name);
            one.refused = one.refused.take().map(|reason| printable(&reason));
            for round in one.rounds.iter_mut().flatten() {
                round.check()?;
            }
        }
        let mut read = Self { servers, stopped: None };
        read.settle();
        match read.workloads().as_slice() {
            [_] => Ok(read),
            [] => Err("a comparison without a result".to_owned()),
            _ => Err("a comparison of several workloads".to_owned()),
        }
    }

    /// Adds the rounds of another comparison; servers are the same if their names are.
    pub(in crate::bench) fn merge(&mut self, other: Self) -> Result<(), String> {
        let (mine, more) = (self.workloads(), other.workloads());
        if mine != more {
            let (mine, more) = (mine.join(", "), more.join(", "));
            return Err(format!("a {more} comparison cannot be added to {mine}"));
        }
        let (before, all) = (self.rounds(), self.rounds() + other.rounds());
        for one in other.servers {
            let known = self.servers.iter_mut().find(|known| known.name == one.name);
            // Ratios are paired by round: those of one comparison stay together.
            if let Some(known) = known {
                known.rounds.resize(before, None);
                known.rounds.extend(one.rounds);
                known.refused = known.refused.take().and(one.refused);
            } else {
                let mut rounds = vec![None; before];
                rounds.extend(one.rounds);
                self.servers.push(ServerResults { rounds, ..one });
            }
        }
        self.servers.iter_mut().for_each(|one| one.rounds.resize(all, None));
        self.settle();
        Ok(())
    }

    /// Whether a byte was wrong in any round.
    pub(in crate::bench) fn has_mismatch(&self) -> bool {
        self.summaries().any(|summary| summary.count_of(Ending::Mismatch) > 0)
    }

    fn workloads(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.summaries().filter_map(|one| one.settings.workload.clone()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The latencies of all rounds, from those of each.
    fn settle(&mut self) {
        for one in &mut self.servers {
            let mut all = Times::new();
            let each = one.summaries().filter_map(Summary::primary).map(Distribution::times);
            each.for_each(|times| all.add(&times));
            one.times = (!all.is_empty()).then_some(all);
        }
    }
}
