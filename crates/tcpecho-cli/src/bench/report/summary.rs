//! A result as data: what `--json` writes, what `--baseline` and `tcpecho report` read, and what every
//! other form shows. Units stand in the names.

mod distribution;
mod gather;
mod merge;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tcpecho::Ending;

use super::Row;
use crate::bench::{
    histogram::{QUANTILES, Times},
    threshold::Figures,
    watch::ClientUse,
    workload::{Kind, Unit, Workload},
};

pub(in crate::bench) use self::distribution::Distribution;
pub(super) use self::gather::verdict;

/// The form of the JSON; another number when a reader of the old one would be wrong.
pub(in crate::bench) const SCHEMA: &str = "tcpecho-bench-1";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::bench) struct Summary {
    pub(in crate::bench) schema: String,
    pub(in crate::bench) version: String,
    /// When the measured time began, RFC 3339.
    pub(in crate::bench) started: String,
    /// How many results this is the sum of.
    pub(in crate::bench) parts: u64,
    pub(in crate::bench) order: Order,
    pub(in crate::bench) machine: BTreeMap<String, String>,
    pub(in crate::bench) server: ServerPart,
    pub(in crate::bench) client: ClientPart,
    pub(in crate::bench) result: ResultPart,
    pub(in crate::bench) latency: Latency,
    pub(in crate::bench) tcp: TcpPart,
    pub(in crate::bench) errors: Vec<ErrorPart>,
    pub(in crate::bench) intervals: Vec<Row>,
    pub(in crate::bench) notes: Vec<String>,
}

/// The order as it was understood.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::bench) struct Order {
    /// In one line of words.
    pub(in crate::bench) words: String,
    pub(in crate::bench) workload: String,
    pub(in crate::bench) connections: u64,
    pub(in crate::bench) threads: u64,
    pub(in crate::bench) driver: String,
    pub(in crate::bench) sizes_bytes: Vec<u64>,
    pub(in crate::bench) depth: u64,
    pub(in crate::bench) rate_from_per_s: Option<f64>,
    pub(in crate::bench) rate_to_per_s: Option<f64>,
    pub(in crate::bench) duration_s: Option<f64>,
    pub(in crate::bench) count: Option<u64>,
    pub(in crate::bench) warmup_s: f64,
    pub(in crate::bench) timeout_s: f64,
    pub(in crate::bench) checked: bool,
    pub(in crate::bench) close: String,
    pub(in crate::bench) shard: u64,
    pub(in crate::bench) shards: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::bench) struct ServerPart {
    pub(in crate::bench) words: String,
    pub(in crate::bench) cpu_ns: Option<f64>,
    pub(in crate::bench) cpu_ns_per_unit: Option<f64>,
    /// Processors used: 1 is one that never rested.
    pub(in crate::bench) cpu_share: Option<f64>,
    pub(in crate::bench) memory_before_bytes: Option<f64>,
    pub(in crate::bench) memory_held_bytes: Option<f64>,
    pub(in crate::bench) memory_bytes_per_connection: Option<f64>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::bench) struct ClientPart {
    pub(in crate::bench) threads: Vec<ClientUse>,
    pub(in crate::bench) cpu_ns_per_unit: Option<f64>,
    /// How late the generator came to requests that were due.
    pub(in crate::bench) late_mean_ns: Option<f64>,
    pub(in crate::bench) late_max_ns: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::bench) struct ResultPart {
    pub(in crate::bench) unit: String,
    pub(in crate::bench) throughput_per_s: f64,
    pub(in crate::bench) seconds: f64,
    pub(in crate::bench) messages: u64,
    pub(in crate::bench) sent_bytes: u64,
    pub(in crate::bench) received_bytes: u64,
    pub(in crate::bench) connections_made: u64,
    pub(in crate::bench) connections_open: u64,
    pub(in crate::bench) messages_lost: u64,
    pub(in crate::bench) messages_unanswered: u64,
    pub(in crate::bench) interrupted_by: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::bench) struct Latency {
    /// From due.
    pub(in crate::bench) response: Option<Distribution>,
    /// From sent; for crr from connect(2).
    pub(in crate::bench) service: Option<Distribution>,
    pub(in crate::bench) connect: Option<Distribution>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::bench) struct TcpPart {
    /// Connections that the kernel was asked about.
    pub(in crate::bench) connections_asked: u64,
    pub(in crate::bench) rtt_mean_us: Option<f64>,
    pub(in crate::bench) rtt_min_us: Option<u32>,
    pub(in crate::bench) segments_retransmitted: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::bench) struct ErrorPart {
    /// A word of the table of endings.
    pub(in crate::bench) ending: String,
    pub(in crate::bench) count: u64,
    /// What the first of them was.
    pub(in crate::bench) first: String,
}

impl Summary {
    pub(in crate::bench) fn workload(&self) -> Option<&'static Workload> {
        Workload::named(&self.order.workload)
    }

    pub(in crate::bench) fn kind(&self) -> Kind {
        self.workload().map_or(Kind::RequestResponse, |workload| workload.kind)
    }

    pub(in crate::bench) fn unit(&self) -> Unit {
        self.workload().map_or(Unit::Messages, |workload| workload.unit)
    }

    /// The latency that counts: the response time where there is a schedule, else the service time.
    pub(in crate::bench) fn primary(&self) -> Option<&Times> {
        self.latency.response.as_ref().or(self.latency.service.as_ref()).map(|d| &d.0)
    }

    pub(in crate::bench) fn error_count(&self) -> u64 {
        self.errors.iter().map(|error| error.count).fold(0, u64::saturating_add)
    }

    pub(in crate::bench) fn count_of(&self, ending: Ending) -> u64 {
        let named = self.errors.iter().filter(|error| error.ending == ending.word());
        named.map(|error| error.count).fold(0, u64::saturating_add)
    }

    pub(in crate::bench) fn figures(&self) -> Figures {
        let latency = self.primary();
        let quantile = |q| latency.and_then(|times| times.quantile(q)).map(|ns| ns as f64);
        Figures {
            quantiles: QUANTILES.iter().map(|(_, q)| quantile(*q)).collect(),
            max: latency.and_then(Times::max).map(|ns| ns as f64),
            mean: latency.and_then(Times::mean),
            throughput: Some(self.result.throughput_per_s),
            errors: Some(self.error_count() as f64),
        }
    }
}
