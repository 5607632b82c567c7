//! A result as data: what `--json` writes, what `--baseline` and `tcpecho report` read, and what every
//! other form shows. Units stand in the names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tcpecho::{ENDINGS, Ending};

use super::{Measured, Row, table};
use crate::bench::{
    hand::After,
    histogram::{QUANTILES, Times},
    pace::Pace,
    threshold::Figures,
    watch::{self, ClientUse},
    workload::{Kind, Unit, Workload},
};

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
    fn some(times: &Times) -> Option<Self> {
        (!times.is_empty()).then(|| Distribution(times.clone()))
    }

    /// Adds the other's, exactly.
    fn merge(into: &mut Option<Self>, other: Option<&Self>) {
        match (into.as_mut(), other) {
            (Some(times), Some(more)) => times.0.add(&more.0),
            (None, Some(more)) => *into = Some(more.clone()),
            (_, None) => {}
        }
    }
}

impl Summary {
    pub(in crate::bench) fn of(measured: &Measured) -> Self {
        let (plan, outcome, total) = (measured.plan, &measured.outcome, &measured.outcome.total);
        let wire = &outcome.wire;
        let mut connect = outcome.connecting.connect.clone();
        connect.add(&total.connect);
        Summary {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: humantime::format_rfc3339_millis(outcome.started).to_string(),
            parts: 1,
            order: order(measured),
            machine: measured
                .facts
                .iter()
                .map(|(name, fact)| ((*name).to_owned(), fact.clone()))
                .collect(),
            server: server(measured),
            client: ClientPart {
                threads: outcome.client.clone(),
                cpu_ns_per_unit: measured.client_cost(),
                late_mean_ns: (total.due > 0).then(|| total.late_sum as f64 / total.due as f64),
                late_max_ns: total.late_max,
            },
            result: ResultPart {
                unit: measured.unit().words().to_owned(),
                throughput_per_s: measured.throughput(),
                seconds: outcome.seconds,
                messages: total.messages,
                sent_bytes: total.sent,
                received_bytes: total.received,
                connections_made: outcome.connecting.connections + total.connections,
                connections_open: outcome.open,
                messages_lost: total.lost,
                messages_unanswered: total.unanswered,
                interrupted_by: outcome.stopped.map(|signal| signal.as_str().to_owned()),
            },
            latency: Latency {
                response: Distribution::some(&total.response),
                service: Distribution::some(&total.service),
                connect: Distribution::some(&connect),
            },
            tcp: TcpPart {
                connections_asked: wire.connections,
                rtt_mean_us: (wire.connections > 0)
                    .then(|| wire.rtt_us as f64 / wire.connections as f64),
                rtt_min_us: wire.min_rtt_us,
                segments_retransmitted: wire.retransmits,
            },
            errors: errors(measured),
            intervals: measured.rows.clone(),
            notes: plan.remarks_of(measured),
        }
    }

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
        self.errors.iter().map(|error| error.count).sum()
    }

    pub(in crate::bench) fn count_of(&self, ending: Ending) -> u64 {
        let named = self.errors.iter().filter(|error| error.ending == ending.word());
        named.map(|error| error.count).sum()
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

    /// Adds the result of another machine, or of another part of the same run: counts and histograms
    /// exactly, throughputs as of one time.
    pub(in crate::bench) fn merge(&mut self, other: &Self) {
        let (one, two) = (self.parts as f64, other.parts as f64);
        self.parts += other.parts;
        self.started = self.started.clone().min(other.started.clone());
        if self.order.words != other.order.words {
            self.order.words = format!("{} results", self.parts);
        }
        if !self.server.words.contains(&other.server.words) {
            self.server.words = format!("{}; {}", self.server.words, other.server.words);
        }
        let (mine, more) = (&mut self.result, &other.result);
        mine.throughput_per_s += more.throughput_per_s;
        mine.seconds = (mine.seconds * one + more.seconds * two) / (one + two);
        mine.messages += more.messages;
        mine.sent_bytes += more.sent_bytes;
        mine.received_bytes += more.received_bytes;
        mine.connections_made += more.connections_made;
        mine.connections_open += more.connections_open;
        mine.messages_lost += more.messages_lost;
        mine.messages_unanswered += more.messages_unanswered;
        mine.interrupted_by = mine.interrupted_by.take().or_else(|| more.interrupted_by.clone());
        Distribution::merge(&mut self.latency.response, other.latency.response.as_ref());
        Distribution::merge(&mut self.latency.service, other.latency.service.as_ref());
        Distribution::merge(&mut self.latency.connect, other.latency.connect.as_ref());
        self.merge_sides(other);
        self.merge_intervals(other);
        for note in &other.notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
    }

    fn merge_sides(&mut self, other: &Self) {
        // Two machines that watch one server see the same process: its use is not added up.
        self.server.cpu_ns = None;
        self.server.cpu_ns_per_unit = None;
        self.server.cpu_share = None;
        self.client.threads.extend(&other.client.threads);
        self.client.late_max_ns = self.client.late_max_ns.max(other.client.late_max_ns);
        self.client.late_mean_ns = None;
        let busy: u64 = self.client.threads.iter().map(|used| used.busy_ns).sum();
        let units = match self.unit() {
            Unit::Megabytes => self.result.received_bytes as f64 / 1e6,
            _ => self.result.messages as f64,
        };
        self.client.cpu_ns_per_unit = (units > 0.0).then(|| busy as f64 / units);
        let (mine, more) = (&mut self.tcp, &other.tcp);
        let sum = |part: &TcpPart| part.rtt_mean_us.unwrap_or(0.0) * part.connections_asked as f64;
        let (sum, asked) = (sum(mine) + sum(more), mine.connections_asked + more.connections_asked);
        mine.rtt_mean_us = (asked > 0).then(|| sum / asked as f64);
        mine.connections_asked = asked;
        mine.rtt_min_us = mine.rtt_min_us.into_iter().chain(more.rtt_min_us).min();
        mine.segments_retransmitted += more.segments_retransmitted;
        for error in &other.errors {
            match self.errors.iter_mut().find(|mine| mine.ending == error.ending) {
                Some(mine) => mine.count += error.count,
                None => self.errors.push(error.clone()),
            }
        }
    }

    /// Stretches of the same place are added; their quantiles cannot be, so they are left out.
    fn merge_intervals(&mut self, other: &Self) {
        for (place, row) in other.intervals.iter().enumerate() {
            let Some(mine) = self.intervals.get_mut(place) else {
                self.intervals.push(row.clone());
                continue;
            };
            mine.to_s = mine.to_s.max(row.to_s);
            mine.messages += row.messages;
            mine.received_bytes += row.received_bytes;
            mine.connections += row.connections;
            mine.errors += row.errors;
            mine.throughput_per_s += row.throughput_per_s;
            mine.max_ns = mine.max_ns.max(row.max_ns);
            (mine.p50_ns, mine.p99_ns) = (None, None);
        }
    }
}

fn order(measured: &Measured) -> Order {
    let plan = measured.plan;
    let (from, to) = match measured.pace {
        None => (None, None),
        Some(Pace::Steady(rate)) => (Some(rate), Some(rate)),
        Some(Pace::Ramp { from, to, .. }) => (Some(from), Some(to)),
    };
    Order {
        words: table::asked(plan, measured.pace, measured.driver, measured.threads),
        workload: plan.workload.name.to_owned(),
        connections: plan.connections,
        threads: measured.threads as u64,
        driver: measured.driver.to_owned(),
        sizes_bytes: plan.sizes.clone(),
        depth: plan.depth as u64,
        rate_from_per_s: from,
        rate_to_per_s: to,
        duration_s: plan.count.is_none().then_some(plan.duration.as_secs_f64()),
        count: plan.count,
        warmup_s: plan.warmup.as_secs_f64(),
        timeout_s: plan.timeout.as_secs_f64(),
        checked: plan.check,
        close: match plan.after {
            After::Resets => "reset",
            After::Stays | After::Closes => "fin",
        }
        .to_owned(),
        shard: plan.shard.0 + 1,
        shards: plan.shard.1,
    }
}

fn server(measured: &Measured) -> ServerPart {
    ServerPart {
        words: measured.server.clone(),
        cpu_ns: measured.ledger.cpu_ns,
        cpu_ns_per_unit: measured.server_cost(),
        cpu_share: measured.server_share(),
        memory_before_bytes: measured.ledger.memory_before,
        memory_held_bytes: measured.ledger.memory_held,
        memory_bytes_per_connection: measured.memory_each(),
    }
}

fn errors(measured: &Measured) -> Vec<ErrorPart> {
    let mut all = measured.outcome.connecting.clone();
    all.add_aside(&measured.outcome.total);
    let part = |(ending, count, first): (Ending, u64, Option<&str>)| ErrorPart {
        ending: ending.word().to_owned(),
        count,
        first: first.unwrap_or_else(|| ENDINGS[ending as usize].sentence).to_owned(),
    };
    all.errors().map(part).collect()
}

/// What the generator's threads say of themselves.
pub(super) fn verdict(measured: &Measured) -> Vec<String> {
    watch::verdict(&measured.outcome.client, measured.server_share())
}
