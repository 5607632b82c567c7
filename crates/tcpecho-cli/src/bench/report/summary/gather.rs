//! A result from what a run left behind.

use std::collections::BTreeMap;

use tcpecho::{Ending, internal::ENDINGS};
use tcpecho_load::{After, Schedule};

use super::{
    ClientPart, Distribution, ErrorPart, Latency, ResultPart, SCHEMA, ServerPart, Settings,
    Summary, TcpPart,
};
use crate::bench::report::{Measured, table, verdict};

impl Summary {
    pub(in crate::bench) fn of(measured: &Measured) -> Self {
        let (plan, outcome, total) = (measured.plan, &measured.outcome, &measured.outcome.total);
        let wire = &outcome.wire;
        let mut connect = outcome.connecting.connect.clone();
        connect.add(&total.connect);
        // Answers that a signal let come in before the measured time are not of it.
        let times = |times| Distribution::of(times).filter(|_| outcome.seconds > 0.0);
        Summary {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: humantime::format_rfc3339_millis(outcome.started).to_string(),
            parts: 1,
            settings: settings(measured),
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
                late_max_ns: Some(total.late_max),
                pauses: Some(outcome.paused),
                messages_across_pauses: Some(total.across_pauses),
            },
            result: ResultPart {
                unit: measured.unit().words().to_owned(),
                throughput_per_s: measured.throughput(),
                seconds: outcome.seconds,
                messages: total.messages,
                sent_bytes: Some(total.sent),
                received_bytes: Some(total.received),
                connections_made: Some(outcome.made),
                connections_open: Some(outcome.open),
                messages_lost: Some(total.lost),
                messages_unanswered: Some(total.unanswered),
                messages_late: Some(outcome.late),
                messages_due: Some(outcome.requests),
                lost_bytes: Some(outcome.connecting.lost_bytes + total.lost_bytes),
                interrupted_by: measured.stopped.map(|signal| signal.as_str().to_owned()),
            },
            latency: Latency {
                response: times(&total.response),
                service: times(&total.service),
                connect: Distribution::of(&connect),
                other: BTreeMap::new(),
            },
            tcp: TcpPart {
                connections_asked: wire.connections,
                rtt_mean_us: wire.rtt_mean_us(),
                rtt_min_us: wire.min_rtt_us,
                segments_retransmitted: Some(wire.retransmits),
            },
            errors: errors(measured),
            intervals: measured.rows.clone(),
            notes: plan.remarks_of(measured),
            baseline: None,
        }
    }
}

fn settings(measured: &Measured) -> Settings {
    let plan = measured.plan;
    let (from, to) = match measured.schedule {
        None => (None, None),
        Some(Schedule::Steady(rate)) => (Some(rate), Some(rate)),
        Some(Schedule::Ramp { from, to, .. }) => (Some(from), Some(to)),
    };
    let close = match plan.after {
        After::Reset => "reset",
        After::KeepOpen | After::Close => "fin",
    };
    Settings {
        words: table::asked(plan, measured.schedule, measured.driver, measured.threads),
        workload: Some(plan.workload.name.to_owned()),
        connections: Some(plan.connections),
        threads: Some(measured.threads as u64),
        driver: Some(measured.driver.to_owned()),
        sizes_bytes: Some(plan.sizes.clone()),
        depth: Some(plan.depth as u64),
        rate_from_per_s: from,
        rate_to_per_s: to,
        duration_s: plan.count.is_none().then_some(plan.duration.as_secs_f64()),
        count: plan.count,
        warmup_s: Some(plan.warmup.as_secs_f64()),
        timeout_s: Some(plan.timeout.as_secs_f64()),
        checked: Some(plan.check),
        close: Some(close.to_owned()),
        shard: Some(plan.shard.0 + 1),
        shards: Some(plan.shard.1),
    }
}

fn server(measured: &Measured) -> ServerPart {
    ServerPart {
        words: measured.server.clone(),
        cpu_ns: measured.usage.cpu_ns,
        cpu_ns_per_unit: measured.server_cost(),
        cpu_share: measured.server_share(),
        memory_before_bytes: measured.usage.memory_before,
        memory_held_bytes: measured.usage.memory_held,
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
pub(in crate::bench::report) fn verdict(measured: &Measured) -> Vec<String> {
    verdict::verdict(&measured.outcome.client, measured.server_share())
}
