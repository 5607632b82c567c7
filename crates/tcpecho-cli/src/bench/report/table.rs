//! The result for people: a page of text.

use std::fmt::Write;

use super::{Measured, bytes, count, digits, rate, time};
use crate::bench::{
    args::Plan,
    histogram::{QUANTILES, Times},
    pace::Pace,
    watch::ClientUse,
    workload::{Kind, Unit},
};

/// The whole page.
pub(in crate::bench) fn page(measured: &Measured) -> String {
    let mut page = String::new();
    let _ = writeln!(page, "{}", asked(measured.plan, measured.driver, measured.threads));
    let _ = writeln!(page, "server: {}\n", measured.server);
    throughput(&mut page, measured);
    latencies(&mut page, measured);
    offered(&mut page, measured);
    costs(&mut page, measured);
    errors(&mut page, measured);
    for finding in measured.findings() {
        let _ = writeln!(page, "note: {finding}");
    }
    page
}

/// The order as it was understood.
pub(in crate::bench) fn asked(plan: &Plan, driver: &str, threads: usize) -> String {
    let mut words = vec![plan.workload.name.to_owned(), connections(plan)];
    if plan.workload.kind != Kind::Stream {
        let sizes: Vec<String> = plan.sizes.iter().map(u64::to_string).collect();
        words.push(format!("{} B", sizes.join(",")));
    }
    if plan.depth > 1 {
        words.push(format!("{} under way on each", plan.depth));
    }
    words.push(match plan.pace {
        _ if matches!(plan.workload.kind, Kind::Stream | Kind::Idle) => "no pauses".to_owned(),
        None => "closed loop".to_owned(),
        Some(Pace::Steady(per_second)) => format!("open loop at {}/s", rate(per_second)),
        Some(Pace::Ramp { from, to, .. }) => {
            format!("open loop from {} to {}/s", rate(from), rate(to))
        }
    });
    words.push(if threads == 1 { "1 thread".into() } else { format!("{threads} threads") });
    words.push(format!("{driver} driver"));
    if !plan.check {
        words.push("bytes not compared".to_owned());
    }
    let time = match plan.count {
        Some(number) => format!("{} of them", count(number)),
        None => format!("{:?}", plan.duration),
    };
    let warmup = match plan.warmup {
        none if none.is_zero() => String::new(),
        some => format!(" after {some:?}"),
    };
    format!("{}; {time}{warmup}", words.join(", "))
}

fn connections(plan: &Plan) -> String {
    let all = match plan.connections {
        1 => "1 connection".to_owned(),
        n => format!("{} connections", count(n)),
    };
    let at_a_time = plan.workload.kind == Kind::ConnectRequestResponse;
    let all = if at_a_time { format!("{all} at a time") } else { all };
    match plan.shard {
        (_, 1) => all,
        (shard, shards) => format!("{all} (part {} of {shards})", shard + 1),
    }
}

fn throughput(page: &mut String, measured: &Measured) {
    let total = measured.total();
    let seconds = measured.outcome.seconds;
    let cut = match measured.outcome.stopped {
        Some(signal) => format!(", ended early by {signal}"),
        None => String::new(),
    };
    let (unit, value) = (measured.unit().words(), rate(measured.throughput()));
    if measured.plan.workload.kind == Kind::Idle {
        let open = count(measured.outcome.open);
        let made = count(measured.outcome.connecting.connections);
        let _ =
            writeln!(page, "connections  {open} open after {seconds:.2} s{cut}; {made} were made");
        if let Some(each) = measured.memory_each() {
            let held = bytes(measured.ledger.memory_held.unwrap_or_default());
            let _ = writeln!(
                page,
                "memory       {} of the server for each (PSS; {held} in all)",
                bytes(each)
            );
        }
        return;
    }
    let _ = write!(page, "throughput   {value} {unit}");
    if measured.unit() != Unit::Megabytes {
        let each_way = total.received as f64 / 1e6 / seconds.max(1e-9);
        let _ = write!(page, "   {} MB/s each way", digits(each_way));
    }
    let what = match measured.unit() {
        Unit::Megabytes => bytes(total.received as f64),
        _ => count(total.messages),
    };
    let _ = writeln!(page, "   {what} in {seconds:.2} s{cut}");
}

fn latencies(page: &mut String, measured: &Measured) {
    let total = measured.total();
    let mut connect = measured.outcome.connecting.connect.clone();
    connect.add(&total.connect);
    let crr = measured.plan.workload.kind == Kind::ConnectRequestResponse;
    let service = if crr { "service   (from connect)" } else { "service   (from sent)" };
    let rows: Vec<(&str, &Times)> = [
        ("response  (from due)", &total.response),
        (service, &total.service),
        ("connect", &connect),
    ]
    .into_iter()
    .filter(|(_, times)| !times.is_empty())
    .collect();
    if rows.is_empty() {
        return;
    }
    let _ = write!(page, "\n{:<24}", "latency");
    for (name, _) in QUANTILES.iter().chain(&[("max", 1.0)]) {
        let _ = write!(page, " {name:>9}");
    }
    page.push('\n');
    for (name, times) in rows {
        let _ = write!(page, "{name:<24}");
        for (_, q) in QUANTILES {
            let _ = write!(page, " {:>9}", time(times.quantile(*q).unwrap_or_default() as f64));
        }
        let _ = writeln!(page, " {:>9}", time(times.max().unwrap_or_default() as f64));
    }
}

/// What was asked of the server and what it did, where the rate changes.
fn offered(page: &mut String, measured: &Measured) {
    if !matches!(measured.plan.pace, Some(Pace::Ramp { .. })) {
        return;
    }
    let _ = writeln!(
        page,
        "\n{:>8} {:>12} {:>12} {:>9} {:>9}",
        "seconds", "offered/s", "answered/s", "p50", "p99"
    );
    for row in &measured.rows {
        let shown = |ns: Option<u64>| ns.map_or_else(|| "-".into(), |ns| time(ns as f64));
        let _ = writeln!(
            page,
            "{:>8.2} {:>12} {:>12} {:>9} {:>9}",
            row.to,
            rate(row.offered.unwrap_or_default()),
            rate(row.throughput(measured.unit())),
            shown(row.p50),
            shown(row.p99),
        );
    }
}

fn costs(page: &mut String, measured: &Measured) {
    let one = measured.unit().one();
    page.push('\n');
    let idle = measured.plan.workload.kind == Kind::Idle;
    if let (Some(cost), Some(share), false) =
        (measured.server_cost(), measured.server_share(), idle)
    {
        let percent = share * 100.0;
        let cost = time(cost);
        let _ = writeln!(
            page,
            "server       {cost} of processor time per {one}; {percent:.0} % of a processor"
        );
    }
    if let (Some(cost), false) = (measured.client_cost(), idle) {
        let share = |part: fn(&ClientUse) -> u64| {
            let of = |used: &ClientUse| part(used) as f64 * 100.0 / used.elapsed.max(1) as f64;
            measured.outcome.client.iter().map(of).fold(0.0, f64::max)
        };
        let (busy, delayed) = (share(|used| used.busy), share(|used| used.delayed));
        let cost = time(cost);
        let _ = writeln!(
            page,
            "client       {cost} per {one}; busiest thread {busy:.0} %, waited for a processor {delayed:.1} %"
        );
    }
    let wire = &measured.outcome.wire;
    if wire.connections > 0 {
        let mean = time(wire.rtt_us as f64 * 1e3 / wire.connections as f64);
        let least = wire.min_rtt_us.map(|us| format!(", {} at least", time(us as f64 * 1e3)));
        let _ =
            write!(page, "TCP          round trip {mean} on average{}", least.unwrap_or_default());
        let sampled = measured.plan.workload.kind == Kind::ConnectRequestResponse;
        let of = if sampled { " on the connections asked" } else { "" };
        let _ = writeln!(page, "; {} segments retransmitted{of}", count(wire.retransmits));
    }
}

fn errors(page: &mut String, measured: &Measured) {
    let total = measured.total();
    let errors = measured.errors();
    if measured.error_count() == 0 {
        let checked =
            if measured.plan.check { "every byte came back as it was sent" } else { "none" };
        let _ = writeln!(page, "errors       {checked}");
        return;
    }
    let mut title = "errors";
    for (ending, number, first) in errors.errors() {
        let first = first.unwrap_or_else(|| ending.sentence());
        let _ = writeln!(page, "{title:<12} {} {ending}: {first}", count(number));
        title = "";
    }
    if total.lost > 0 {
        let _ = writeln!(page, "{:<12} {} requests were under way on them", "", count(total.lost));
    }
}
