//! A result as data: what `--json` writes, what `--baseline` and `tcpecho bench report` read, and what every
//! other form shows. Units stand in the names.

mod baseline;
pub(in crate::bench) mod bounded;
mod check;
mod distribution;
mod gather;
mod merge;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tcpecho::Ending;
use tcpecho_load::{ClientUse, Kind, Pauses, Times, Unit, Workload};

use super::{MEMORY_RESOLUTION, Row};
use crate::{
    threshold::{Figures, QUANTILES},
    units::bytes,
};

pub(super) use self::gather::verdict;
pub(in crate::bench) use self::{
    baseline::{BaselinePart, differences},
    distribution::Distribution,
};

/// The form of the JSON; another number when a reader of the old one would be wrong.
pub(in crate::bench) const SCHEMA: &str = "tcpecho-bench-1";

/// Tags of HDR logs that are kept apart.
pub(in crate::bench) const MOST_TAGS: usize = 64;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::bench) struct Summary {
    pub(in crate::bench) schema: String,
    pub(in crate::bench) version: String,
    /// When the measured time began, RFC 3339.
    pub(in crate::bench) started: String,
    /// How many results this is the sum of.
    pub(in crate::bench) parts: u64,
    pub(in crate::bench) settings: Settings,
    #[serde(deserialize_with = "bounded::map::<_, _, 256>")]
    pub(in crate::bench) machine: BTreeMap<String, String>,
    pub(in crate::bench) server: ServerPart,
    pub(in crate::bench) client: ClientPart,
    pub(in crate::bench) result: ResultPart,
    pub(in crate::bench) latency: Latency,
    pub(in crate::bench) tcp: TcpPart,
    #[serde(deserialize_with = "bounded::list::<_, _, 256>")]
    pub(in crate::bench) errors: Vec<ErrorPart>,
    #[serde(deserialize_with = "bounded::list::<_, _, 1_000_000>")]
    pub(in crate::bench) intervals: Vec<Row>,
    #[serde(deserialize_with = "bounded::list::<_, _, 1000>")]
    pub(in crate::bench) notes: Vec<String>,
    /// How it compares with an earlier result (--baseline).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::bench) baseline: Option<BaselinePart>,
}

/// What a connection costs a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::bench) enum MemoryEach {
    Measured(f64),
    /// The whole difference is below the resolution of a reading.
    Below(f64),
}

impl MemoryEach {
    pub(in crate::bench) fn words(self) -> String {
        match self {
            MemoryEach::Measured(each) => bytes(each),
            MemoryEach::Below(limit) => format!("less than {}", bytes(limit)),
        }
    }
}

/// The settings, as they were understood. `None` where they are unknown: an HDR log has latencies only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::bench) struct Settings {
    /// In one line of words.
    pub(in crate::bench) words: String,
    pub(in crate::bench) workload: Option<String>,
    pub(in crate::bench) connections: Option<u64>,
    pub(in crate::bench) threads: Option<u64>,
    pub(in crate::bench) driver: Option<String>,
    #[serde(deserialize_with = "bounded::optional_list::<_, _, 65_536>")]
    pub(in crate::bench) sizes_bytes: Option<Vec<u64>>,
    pub(in crate::bench) depth: Option<u64>,
    pub(in crate::bench) rate_from_per_s: Option<f64>,
    pub(in crate::bench) rate_to_per_s: Option<f64>,
    pub(in crate::bench) duration_s: Option<f64>,
    pub(in crate::bench) count: Option<u64>,
    pub(in crate::bench) warmup_s: Option<f64>,
    pub(in crate::bench) timeout_s: Option<f64>,
    /// Unknown also of a sum with an HDR log.
    pub(in crate::bench) checked: Option<bool>,
    pub(in crate::bench) close: Option<String>,
    pub(in crate::bench) shard: Option<u64>,
    pub(in crate::bench) shards: Option<u64>,
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
    #[serde(deserialize_with = "bounded::list::<_, _, 1_000_000>")]
    pub(in crate::bench) threads: Vec<ClientUse>,
    pub(in crate::bench) cpu_ns_per_unit: Option<f64>,
    /// How late the generator came to requests that were due.
    pub(in crate::bench) late_mean_ns: Option<f64>,
    pub(in crate::bench) late_max_ns: Option<u64>,
    /// Pauses of the generator itself: it was stopped, or its machine suspended.
    #[serde(default)]
    pub(in crate::bench) pauses: Option<Pauses>,
    /// Answers whose service time contains a pause, and is left out.
    #[serde(default)]
    pub(in crate::bench) messages_across_pauses: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::bench) struct ResultPart {
    pub(in crate::bench) unit: String,
    pub(in crate::bench) throughput_per_s: f64,
    pub(in crate::bench) seconds: f64,
    pub(in crate::bench) messages: u64,
    pub(in crate::bench) sent_bytes: Option<u64>,
    pub(in crate::bench) received_bytes: Option<u64>,
    pub(in crate::bench) connections_made: Option<u64>,
    pub(in crate::bench) connections_open: Option<u64>,
    pub(in crate::bench) messages_lost: Option<u64>,
    pub(in crate::bench) messages_unanswered: Option<u64>,
    /// Answered after the measured time.
    #[serde(default)]
    pub(in crate::bench) messages_late: Option<u64>,
    /// What was due: the sum of those answered in time or late, lost, and unanswered.
    #[serde(default)]
    pub(in crate::bench) messages_due: Option<u64>,
    /// Bytes that were sent and had not come back when their connection ended.
    #[serde(default)]
    pub(in crate::bench) lost_bytes: Option<u64>,
    pub(in crate::bench) interrupted_by: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::bench) struct Latency {
    /// From due.
    pub(in crate::bench) response: Option<Distribution>,
    /// From sent; for crr from connect(2).
    pub(in crate::bench) service: Option<Distribution>,
    pub(in crate::bench) connect: Option<Distribution>,
    /// Of an HDR log with tags that are not ours, by the tag.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounded::map::<_, _, MOST_TAGS>"
    )]
    pub(in crate::bench) other: BTreeMap<String, Distribution>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::bench) struct TcpPart {
    /// Connections that the kernel was asked about.
    pub(in crate::bench) connections_asked: u64,
    pub(in crate::bench) rtt_mean_us: Option<f64>,
    pub(in crate::bench) rtt_min_us: Option<u32>,
    pub(in crate::bench) segments_retransmitted: Option<u64>,
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
        Workload::named(self.settings.workload.as_deref()?)
    }

    pub(in crate::bench) fn kind(&self) -> Kind {
        self.workload().map_or(Kind::RequestResponse, |workload| workload.kind)
    }

    pub(in crate::bench) fn unit(&self) -> Unit {
        self.workload().map_or(Unit::Messages, |workload| workload.unit)
    }

    /// The latency that counts: the response time where there is a schedule, else the service time.
    pub(in crate::bench) fn primary(&self) -> Option<&Distribution> {
        self.latency.response.as_ref().or(self.latency.service.as_ref())
    }

    /// Whether nothing at all came back in the measured time, and nothing is held: no figure of such a run
    /// says anything.
    pub(in crate::bench) fn answered_nothing(&self) -> bool {
        let result = &self.result;
        match (self.kind(), self.unit()) {
            (Kind::Idle, _) => result.connections_open.unwrap_or_default() == 0,
            (_, Unit::Megabytes) => result.received_bytes.unwrap_or_default() == 0,
            _ => result.messages == 0,
        }
    }

    /// Whether a signal ended the run before the measured time began.
    pub(in crate::bench) fn measured_nothing(&self) -> bool {
        let result = &self.result;
        result.interrupted_by.is_some() && result.seconds <= 0.0 && self.kind() != Kind::Idle
    }

    /// The server's memory for each idle connection in bytes, or the limit that it is below.
    pub(in crate::bench) fn memory_each(&self) -> Option<MemoryEach> {
        let server = &self.server;
        let below = || {
            let open = self.result.connections_open.unwrap_or_default();
            let was_read = server.memory_before_bytes.and(server.memory_held_bytes).is_some();
            (was_read && open > 0).then(|| MemoryEach::Below(MEMORY_RESOLUTION / open as f64))
        };
        let measured = server.memory_bytes_per_connection.map(MemoryEach::Measured);
        measured.or_else(below).filter(|_| self.kind() == Kind::Idle)
    }

    /// The same without these notes.
    pub(in crate::bench) fn without(&self, notes: &[String]) -> Self {
        let mut rest = self.clone();
        rest.notes.retain(|note| !notes.contains(note));
        rest
    }

    /// Whether it says of every part what failed: an HDR log does not.
    pub(in crate::bench) fn knows_errors(&self) -> bool {
        self.settings.checked.is_some()
    }

    pub(in crate::bench) fn error_count(&self) -> u64 {
        self.errors.iter().map(|error| error.count).fold(0, u64::saturating_add)
    }

    pub(in crate::bench) fn count_of(&self, ending: Ending) -> u64 {
        let named = self.errors.iter().filter(|error| error.ending == ending.word());
        named.map(|error| error.count).fold(0, u64::saturating_add)
    }

    pub(in crate::bench) fn figures(&self) -> Figures {
        let latency = self.primary().map(Distribution::times);
        let latency = latency.as_ref();
        let quantile = |q| latency.and_then(|times| times.quantile(q)).map(|ns| ns as f64);
        Figures {
            quantiles: QUANTILES.iter().map(|(_, q)| quantile(*q)).collect(),
            max: latency.and_then(Times::max).map(|ns| ns as f64),
            mean: latency.and_then(Times::mean),
            throughput: Some(self.result.throughput_per_s),
            errors: Some(self.error_count())
                .filter(|_| self.knows_errors())
                .map(|errors| errors as f64),
            unanswered: self.result.messages_unanswered.map(|unanswered| unanswered as f64),
            loss: None,
        }
    }
}

#[cfg(test)]
impl Summary {
    /// A result of ten seconds in which each second had a thousand messages, and as few other figures as there can be.
    pub(in crate::bench) fn example() -> Self {
        let result = serde_json::json!({
            "unit": Unit::Messages.words(), "throughput_per_s": 1000.0, "seconds": 10.0,
            "messages": 10_000, "sent_bytes": 640_000, "received_bytes": 640_000,
            "connections_made": 1, "connections_open": 1, "messages_lost": 0,
            "messages_unanswered": 0,
        });
        let settings = serde_json::json!({
            "words": "rr", "workload": "rr", "connections": 1, "threads": 1, "driver": "epoll",
            "sizes_bytes": [64], "depth": 1, "duration_s": 10.0, "warmup_s": 0.0, "timeout_s": 1.0,
            "checked": true, "close": "fin", "shard": 1, "shards": 1,
        });
        serde_json::from_value(serde_json::json!({
            "schema": SCHEMA, "version": "0", "started": "2026-01-01T00:00:00Z", "parts": 1,
            "settings": settings, "machine": {}, "server": {"words": "a server"},
            "client": {"threads": [], "late_max_ns": 0}, "result": result, "latency": {},
            "tcp": {"connections_asked": 0, "segments_retransmitted": 0},
            "errors": [], "intervals": [], "notes": [],
        }))
        .expect("a result")
    }
}
