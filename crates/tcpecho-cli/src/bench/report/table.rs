//! The result for people: a page of text.

use std::fmt::Write;

use tcpecho_load::{ClientUse, Kind, Schedule, Unit};

use super::{Summary, look::Look, summary::Distribution};
use crate::bench::{args::Plan, histogram::QUANTILES};
use crate::units::{bytes, count, digits, list, rate, time};

/// Notes that make the result doubtful begin so: what the generator says about itself.
pub(in crate::bench) const DOUBTS: [&str; 4] =
    ["the client was", "client and server", "this program did", "the client waited"];

/// The whole page; `quiet` leaves the notes out.
pub(in crate::bench) fn page(summary: &Summary, quiet: bool, look: Look) -> String {
    let page = look.wrapped(&words(summary, quiet, look));
    let bad = if summary.error_count() > 0 || summary.answered_nothing() {
        &["errors ", "unanswered ", "note: the server ended"][..]
    } else {
        &["unanswered ", "note: the server ended"]
    };
    let doubts = DOUBTS.map(|doubt| format!("note: {doubt}"));
    look.painted(&page, bad, &doubts.each_ref().map(String::as_str))
}

fn words(summary: &Summary, quiet: bool, look: Look) -> String {
    let mut page = String::new();
    let _ = writeln!(page, "{}", summary.settings.words);
    let _ = writeln!(page, "server: {}\n", summary.server.words);
    if summary.measured_nothing() {
        let signal = summary.result.interrupted_by.as_deref().unwrap_or_default();
        let _ = writeln!(
            page,
            "nothing was measured: {signal} ended the run before the measured time began"
        );
        if !summary.errors.is_empty() {
            errors(&mut page, summary);
        }
    } else {
        throughput(&mut page, summary);
        latencies(&mut page, summary, look);
        offered(&mut page, summary, look);
        costs(&mut page, summary);
        errors(&mut page, summary);
        baseline(&mut page, summary);
    }
    if !quiet {
        for note in &summary.notes {
            let _ = writeln!(page, "note: {note}");
        }
    }
    // Nothing may follow the empty line before the costs: an HDR log has none.
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// The settings, as they were understood.
pub(in crate::bench) fn asked(
    plan: &Plan,
    schedule: Option<Schedule>,
    driver: &str,
    threads: usize,
) -> String {
    let mut words = vec![plan.workload.name.to_owned(), connections(plan)];
    if plan.workload.kind != Kind::Stream {
        words.push(format!("{} B", list(&plan.sizes)));
    }
    if plan.depth > 1 {
        words.push(format!("{} in flight on each", plan.depth));
    }
    words.extend(match schedule {
        // An idle connection sends nothing after its first message.
        _ if plan.workload.kind == Kind::Idle => None,
        _ if plan.workload.kind == Kind::Stream => Some("no pauses".to_owned()),
        None => Some("closed loop".to_owned()),
        Some(Schedule::Steady(per_second)) => Some(format!("open loop at {}/s", rate(per_second))),
        Some(Schedule::Ramp { from, to, .. }) => {
            Some(format!("open loop from {} to {}/s", rate(from), rate(to)))
        }
    });
    words.push(if threads == 1 { "1 thread".into() } else { format!("{threads} threads") });
    words.push(format!("{driver} driver"));
    if !plan.check {
        words.push("bytes not compared".to_owned());
    }
    let time = match plan.count {
        Some(number) => {
            let whats = match plan.workload.unit {
                Unit::Connections => "connection",
                _ => "message",
            };
            format!("{} {whats}{}", count(number), if number == 1 { "" } else { "s" })
        }
        None => tcpecho::internal::show_duration(plan.duration),
    };
    let warmup = match plan.warmup {
        none if none.is_zero() => String::new(),
        some => format!(" after {}", tcpecho::internal::show_duration(some)),
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

fn throughput(page: &mut String, summary: &Summary) {
    let result = &summary.result;
    let seconds = result.seconds;
    let cut = match &result.interrupted_by {
        Some(signal) => format!(", ended early by {signal}"),
        None => String::new(),
    };
    if summary.kind() == Kind::Idle {
        let count = |number: Option<u64>| count(number.unwrap_or_default());
        let (open, made) = (count(result.connections_open), count(result.connections_made));
        let _ =
            writeln!(page, "connections  {open} open after {seconds:.2} s{cut}; {made} were made");
        let server = &summary.server;
        if let (Some(each), Some(held)) = (summary.memory_each(), server.memory_held_bytes) {
            let (each, held) = (each.words(), bytes(held));
            let _ = writeln!(
                page,
                "memory       {each} of the server for each connection (PSS without files; the whole server: {held})"
            );
        }
        return;
    }
    let _ = write!(page, "throughput   {} {}", rate(result.throughput_per_s), result.unit);
    let what = if summary.unit() == Unit::Megabytes {
        let _ = write!(page, "   {} Gbit/s", digits(gigabits(result.throughput_per_s)));
        bytes(result.received_bytes.unwrap_or_default() as f64)
    } else {
        if let Some(received) = result.received_bytes {
            let each_way = received as f64 / 1e6 / seconds.max(1e-9);
            let _ = write!(page, "   {} MB/s each way", digits(each_way));
        }
        count(result.messages)
    };
    let _ = writeln!(page, "   {what} in {seconds:.2} s{cut}");
}

/// Gigabits per second of megabytes per second.
pub(in crate::bench) fn gigabits(megabytes: f64) -> f64 {
    megabytes * 8.0 / 1e3
}

fn latencies(page: &mut String, summary: &Summary, look: Look) {
    let latency = &summary.latency;
    let crr = summary.kind() == Kind::ConnectRequestResponse;
    let service = if crr { "service   (from connect)" } else { "service   (from sent)" };
    let rows: Vec<(&str, &Distribution)> = [
        ("response  (from due)", &latency.response),
        (service, &latency.service),
        ("connect", &latency.connect),
    ]
    .into_iter()
    .filter_map(|(name, times)| Some((name, times.as_ref()?)))
    .chain(latency.other.iter().map(|(tag, times)| (tag.as_str(), times)))
    .collect();
    if rows.is_empty() {
        return;
    }
    let titles = QUANTILES.iter().map(|(name, _)| *name).chain(["max"]);
    let titles =
        [format!("{:<23}", "latency")].into_iter().chain(titles.map(|title| format!("{title:>7}")));
    let row = |(name, distribution): (&str, &Distribution)| {
        let times = distribution.times();
        let quantiles = QUANTILES.iter().map(|(_, q)| times.quantile(*q));
        let figures = quantiles.chain([times.max()]);
        let figures = figures.map(|ns| time(ns.unwrap_or_default() as f64));
        [name.to_owned()].into_iter().chain(figures).collect()
    };
    let rows: Vec<Vec<String>> =
        [titles.collect()].into_iter().chain(rows.into_iter().map(row)).collect();
    page.push('\n');
    page.push_str(&look.table(&rows));
}

/// What was asked of the server and what it did, where the rate changes.
fn offered(page: &mut String, summary: &Summary, look: Look) {
    if summary.settings.rate_from_per_s == summary.settings.rate_to_per_s {
        return;
    }
    let titles = ["seconds", "offered/s", "answered/s", "p50", "p99"];
    let mut rows: Vec<Vec<String>> = vec![titles.map(str::to_owned).to_vec()];
    for row in &summary.intervals {
        let shown = |ns: Option<u64>| ns.map_or_else(|| "-".into(), |ns| time(ns as f64));
        rows.push(vec![
            format!("{:.2}", row.to_s),
            rate(row.offered_per_s.unwrap_or_default()),
            rate(row.throughput_per_s),
            shown(row.p50_ns),
            shown(row.p99_ns),
        ]);
    }
    page.push('\n');
    page.push_str(&look.table(&rows));
}

fn costs(page: &mut String, summary: &Summary) {
    let one = summary.unit().one();
    page.push('\n');
    let busy = summary.kind() != Kind::Idle;
    let server = &summary.server;
    if let (Some(cost), Some(share), true) = (server.cpu_ns_per_unit, server.cpu_share, busy) {
        let (cost, percent) = (time(cost), share * 100.0);
        let _ = writeln!(
            page,
            "server       {cost} of processor time per {one}; {percent:.0} % of a processor"
        );
    }
    if let (Some(cost), true) = (summary.client.cpu_ns_per_unit, busy) {
        let share = |part: fn(&ClientUse) -> u64| {
            let of = |used: &ClientUse| part(used) as f64 * 100.0 / used.elapsed_ns.max(1) as f64;
            summary.client.threads.iter().map(of).fold(0.0, f64::max)
        };
        let (busy, delayed) = (share(|used| used.busy_ns), share(|used| used.delayed_ns));
        let cost = time(cost);
        let _ = writeln!(
            page,
            "client       {cost} per {one}; busiest thread {busy:.0} %, waited for a processor {delayed:.1} %"
        );
    }
    let tcp = &summary.tcp;
    if let Some(mean) = tcp.rtt_mean_us {
        let mean = time(mean * 1e3);
        let least = tcp.rtt_min_us.map(|us| format!(", {} at least", time(us as f64 * 1e3)));
        let again = tcp.segments_retransmitted;
        let again = again.map(|again| format!("; {} segments retransmitted", count(again)));
        let sampled = summary.kind() == Kind::ConnectRequestResponse;
        let of = if sampled { " on the connections asked" } else { "" };
        let _ = writeln!(
            page,
            "TCP          round trip {mean} on average{}{}{of}",
            least.unwrap_or_default(),
            again.unwrap_or_default()
        );
    }
}

fn errors(page: &mut String, summary: &Summary) {
    let result = &summary.result;
    let mut title = "errors";
    for error in &summary.errors {
        let number = count(error.count);
        let _ = writeln!(page, "{title:<12} {number} {}: {}", error.ending, error.first);
        title = "";
    }
    if let Some(lost @ 1..) = result.messages_lost {
        let lost = count(lost);
        let _ = writeln!(page, "{title:<12} {lost} requests were under way on them");
    }
    // What a log does not know is not said.
    if summary.errors.is_empty() && summary.knows_errors() {
        let checked =
            summary.settings.checked == Some(true) && result.messages_unanswered == Some(0);
        let none = match (summary.answered_nothing(), checked) {
            (true, _) => "none, but nothing was answered",
            (false, true) => "none: every byte came back as it was sent",
            (false, false) => "none",
        };
        let _ = writeln!(page, "{title:<12} {none}");
    }
    if let Some(unanswered @ 1..) = result.messages_unanswered {
        let unanswered = count(unanswered);
        let of = result.messages_due.map(|due| format!(" of {}", count(due)));
        let _ = writeln!(page, "unanswered   {unanswered}{} requests", of.unwrap_or_default());
    }
}

/// How it compares with an earlier result.
fn baseline(page: &mut String, summary: &Summary) {
    let Some(baseline) = &summary.baseline else { return };
    let _ = writeln!(page, "baseline     {}: {}", baseline.file, baseline.words());
    for difference in &baseline.differences {
        let _ = writeln!(page, "             not the same kind of run: {difference}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of a page that begins with this word.
    fn line<'a>(page: &'a str, word: &str) -> &'a str {
        page.lines().find(|line| line.starts_with(word)).unwrap_or_default()
    }

    #[test]
    fn costs_are_told_of_each_side() {
        let mut summary = Summary::example();
        summary.server.cpu_ns_per_unit = Some(1500.0);
        summary.server.cpu_share = Some(0.5);
        summary.client.cpu_ns_per_unit = Some(2000.0);
        let used = |busy_ns, delayed_ns| ClientUse { elapsed_ns: 1000, busy_ns, delayed_ns };
        summary.client.threads = vec![used(100, 25), used(400, 5)];
        summary.tcp.rtt_mean_us = Some(120.0);
        summary.tcp.rtt_min_us = Some(50);
        summary.tcp.segments_retransmitted = Some(3);
        let page = page(&summary, false, Look::PLAIN);
        assert_eq!(
            line(&page, "server "),
            "server       1.50 µs of processor time per echo; 50 % of a processor"
        );
        assert_eq!(
            line(&page, "client "),
            "client       2.00 µs per echo; busiest thread 40 %, waited for a processor 2.5 %"
        );
        assert_eq!(
            line(&page, "TCP "),
            "TCP          round trip 120 µs on average, 50.0 µs at least; 3 segments retransmitted"
        );
    }

    #[test]
    fn no_page_ends_with_an_empty_line() {
        let mut summary = Summary::example();
        summary.settings.checked = None;
        let page = page(&summary, false, Look::PLAIN);
        assert!(page.ends_with("s\n") && !page.ends_with("\n\n"), "{page:?}");
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        let page = page(&Summary::example(), false, Look::PLAIN);
        assert!(
            !page.contains("\nserver  ") && !page.contains("client ") && !page.contains("TCP ")
        );
    }
}
