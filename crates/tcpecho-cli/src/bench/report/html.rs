//! The result as one HTML page that needs nothing else.

use std::fmt::Write;

use tcpecho_load::{Kind, Times};

use super::{Summary, summary::Distribution};
use crate::{
    bench::{compare::Comparison, histogram::QUANTILES},
    markup::escaped,
    page::{
        Origin, head, in_words, scrolled,
        svg::{Axis, Series, chart},
    },
    units::{count, rate, time},
};

/// Points of a line over the quantiles, for each nine.
const STEPS: u32 = 40;

/// One run.
pub(in crate::bench) fn run(summary: &Summary) -> String {
    let mut page = head(&format!(
        "tcpecho bench: {}",
        summary.settings.workload.as_deref().unwrap_or("HDR log")
    ));
    heading(&mut page, &summary.settings.words, &summary.server.words);
    tiles(&mut page, summary);
    page.push_str("<div class=\"grid2\">");
    let lines = [
        ("response, from due", &summary.latency.response),
        ("service, from sent", &summary.latency.service),
    ];
    let lines: Vec<Series> = lines
        .iter()
        .filter_map(|(name, times)| Some(quantiles(name, &times.as_ref()?.times())))
        .collect();
    if !lines.is_empty() {
        let title = "Latency by percentile";
        card(&mut page, title, &over_quantiles(title, &lines));
    }
    over_time(&mut page, summary);
    page.push_str("</div>");
    latency_table(&mut page, summary);
    details(&mut page, summary);
    foot(&mut page, summary);
    page
}

/// A comparison.
pub(in crate::bench) fn comparison(comparison: &Comparison) -> String {
    let mut page = head("tcpecho bench: a comparison");
    let Some(first) = comparison.summaries().next() else { return page };
    heading(&mut page, &first.settings.words, &comparison.rounds_in_words());
    let unit = &first.result.unit;
    let most = comparison.rows().map(|row| row.high).fold(0.0, f64::max).max(1e-9);
    let mut bars = String::from("<div class=\"bars\">");
    for row in comparison.rows() {
        let share = |value: f64| value / most * 100.0;
        let _ = write!(
            bars,
            "<span class=\"name\">{}</span><span class=\"track\"><i style=\"width:{:.2}%\"></i>\
             <u style=\"left:{:.2}%;width:{:.2}%\"></u></span><span class=\"num\">{}</span>",
            escaped(row.name),
            share(row.middle),
            share(row.low),
            share(row.high - row.low).max(0.2),
            escaped(&row.words()),
        );
    }
    bars.push_str("</div>");
    let title = format!("Throughput, {unit}: median, and from the lowest to the highest round");
    card(&mut page, &title, &bars);
    page.push_str("<div class=\"grid2\">");
    let lines: Vec<Series> =
        comparison.merged().filter_map(|(name, times)| Some(quantiles(name, times?))).collect();
    if !lines.is_empty() {
        let title = "Latency by percentile, all rounds";
        card(&mut page, title, &over_quantiles(title, &lines));
    }
    card(&mut page, "In words", &bullets(&comparison.closing()));
    card(&mut page, "Notes on validity", &notes(&comparison.notes(false)));
    page.push_str("</div>");
    card(&mut page, "All figures", &comparison_table(comparison));
    foot(&mut page, first);
    page
}

fn comparison_table(comparison: &Comparison) -> String {
    let mut table = String::from("<table><thead><tr>");
    for title in comparison.titles() {
        let _ = write!(table, "<th scope=\"col\">{}</th>", escaped(title));
    }
    table.push_str("</tr></thead><tbody>");
    for cells in comparison.cells() {
        table.push_str("<tr>");
        for (place, cell) in cells.iter().enumerate() {
            let (begin, end) =
                if place == 0 { ("<th scope=\"row\">", "</th>") } else { ("<td>", "</td>") };
            let _ = write!(table, "{begin}{}{end}", escaped(cell));
        }
        table.push_str("</tr>");
    }
    scrolled("All figures", &(table + "</tbody></table>"))
}

fn heading(page: &mut String, settings: &str, server: &str) {
    let (settings, server) = (escaped(settings), escaped(server));
    let _ = write!(page, "<p class=\"sub\">{settings}</p><p class=\"sub\">{server}</p>");
}

fn card(page: &mut String, title: &str, body: &str) {
    let _ = write!(page, "<section class=\"card\"><h2>{}</h2>{body}</section>", escaped(title));
}

fn tiles(page: &mut String, summary: &Summary) {
    page.push_str("<div class=\"tiles\">");
    let mut tile = |class: &str, value: &str, name: &str| {
        let (value, name) = (escaped(value), escaped(name));
        let _ = write!(
            page,
            "<div class=\"card tile {class}\"><b>{value}</b><span>{name}</span></div>"
        );
    };
    let result = &summary.result;
    if summary.kind() == Kind::Idle {
        tile("", &count(result.connections_open.unwrap_or_default()), "connections held");
        if let Some(each) = summary.memory_each() {
            tile("", &each.words(), "server memory for each");
        }
    } else if summary.measured_nothing() {
        tile("", "-", "ended before anything was measured");
    } else {
        tile("", &rate(result.throughput_per_s), &result.unit);
    }
    if let Some(times) = summary.primary().map(Distribution::times) {
        for (name, q) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            tile("", &time(times.quantile(q).unwrap_or_default() as f64), name);
        }
        tile("", &time(times.max().unwrap_or_default() as f64), "max");
    }
    if let (Some(cost), true) = (summary.server.cpu_ns_per_unit, summary.kind() != Kind::Idle) {
        tile("", &time(cost), &format!("server time per {}", summary.unit().one()));
    }
    let errors = summary.error_count();
    if errors > 0 || summary.knows_errors() {
        let (class, sign) = if errors == 0 { ("good", "") } else { ("bad", "✗ ") };
        tile(class, &format!("{sign}{}", count(errors)), "errors");
    }
    page.push_str("</div>");
}

/// The line of a distribution: its times over nines, 0 for none, 2 for 99 %.
fn quantiles(name: &str, times: &Times) -> Series {
    let nines = (times.count().max(2) as f64).log10();
    let steps = (nines * f64::from(STEPS)).ceil() as u32;
    let at = |step: u32| {
        let nine = f64::from(step) / f64::from(STEPS);
        let q = 1.0 - 10_f64.powf(-nine);
        (nine, times.quantile(q).unwrap_or_default() as f64)
    };
    Series { name: name.to_owned(), points: (0..=steps).map(at).collect() }
}

fn over_quantiles(title: &str, lines: &[Series]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let low = all().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let high = all().map(|point| point.1).fold(0.0, f64::max);
    let nines = all().map(|point| point.0).fold(1.0, f64::max);
    let names = [
        (0.0, "0 %"),
        (0.301, "50 %"),
        (1.0, "90 %"),
        (2.0, "99 %"),
        (3.0, "99.9 %"),
        (4.0, "99.99 %"),
        (5.0, "99.999 %"),
        (6.0, "99.9999 %"),
    ];
    let ticks =
        names.iter().filter(|(at, _)| *at <= nines).map(|(at, name)| (*at, (*name).to_owned()));
    let x = Axis { log: false, low: 0.0, high: nines, ticks: ticks.collect() };
    chart(title, &x, &Axis::decades(low, high, time), lines, &[])
}

fn over_time(page: &mut String, summary: &Summary) {
    let rows = &summary.intervals;
    let Some(end) = rows.last().map(|row| row.to_s).filter(|_| rows.len() > 1) else { return };
    let x = || Axis::seconds(end);
    let middle = |from: f64, to: f64| f64::midpoint(from, to);
    let mut lines = vec![Series {
        name: "answered".to_owned(),
        points: rows
            .iter()
            .map(|row| (middle(row.from_s, row.to_s), row.throughput_per_s))
            .collect(),
    }];
    if rows.iter().any(|row| row.offered_per_s.is_some()) {
        let offered = |row: &super::Row| Some((middle(row.from_s, row.to_s), row.offered_per_s?));
        lines.push(Series {
            name: "offered".to_owned(),
            points: rows.iter().filter_map(offered).collect(),
        });
    }
    let most = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let title = format!("Throughput, {}", summary.result.unit);
    card(page, &title, &chart(&title, &x(), &Axis::linear(most, rate), &lines, &[]));
    let line = |name: &str, value: fn(&super::Row) -> Option<u64>| Series {
        name: name.to_owned(),
        points: rows
            .iter()
            .filter_map(|row| Some((middle(row.from_s, row.to_s), value(row)? as f64)))
            .collect(),
    };
    let lines = [
        line("p50", |row| row.p50_ns),
        line("p99", |row| row.p99_ns),
        line("max", |row| row.max_ns),
    ];
    let values = || lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    if values().next().is_some() {
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let title = "Latency over time";
        card(page, title, &chart(title, &x(), &Axis::decades(low, high, time), &lines, &[]));
    }
}

fn latency_table(page: &mut String, summary: &Summary) {
    let latency = &summary.latency;
    let rows: Vec<(&str, &Distribution)> = [
        ("response, from due", &latency.response),
        ("service, from sent", &latency.service),
        ("connect", &latency.connect),
    ]
    .into_iter()
    .filter_map(|(name, times)| Some((name, times.as_ref()?)))
    .chain(latency.other.iter().map(|(tag, times)| (tag.as_str(), times)))
    .collect();
    if rows.is_empty() {
        return;
    }
    let mut table = String::from("<table><thead><tr>");
    let quantiles = QUANTILES.iter().map(|(name, _)| *name);
    for name in ["latency", "count", "min", "mean"].into_iter().chain(quantiles).chain(["max"]) {
        let _ = write!(table, "<th scope=\"col\">{name}</th>");
    }
    table.push_str("</tr></thead><tbody>");
    for (name, distribution) in rows {
        let (name, times) = (escaped(name), distribution.times());
        let some = |ns: Option<u64>| time(ns.unwrap_or_default() as f64);
        let mean = time(times.mean().unwrap_or_default());
        let _ = write!(
            table,
            "<tr><th scope=\"row\">{name}</th><td>{}</td><td>{}</td><td>{mean}</td>",
            count(times.count()),
            some(times.min())
        );
        for (_, q) in QUANTILES {
            let _ = write!(table, "<td>{}</td>", some(times.quantile(*q)));
        }
        let _ = write!(table, "<td>{}</td></tr>", some(times.max()));
    }
    card(page, "Latencies", &scrolled("Latencies", &(table + "</tbody></table>")));
}

fn details(page: &mut String, summary: &Summary) {
    page.push_str("<div class=\"grid2\">");
    let text = super::table::page(summary, true, super::look::Look::PLAIN);
    // The lines of the page that neither a tile nor a table has.
    let kept = [
        "server  ",
        "client  ",
        "TCP  ",
        "errors  ",
        "throughput",
        "connections",
        "memory",
        "unanswered",
        "baseline",
    ];
    let lines = text.lines().filter(|line| kept.iter().any(|start| line.starts_with(start)));
    let mut rows = String::new();
    for line in lines {
        let (name, words) = line.split_at(line.find("  ").unwrap_or(0));
        let (name, words) = (escaped(name), escaped(words.trim()));
        let _ = write!(rows, "<tr><th scope=\"row\">{name}</th><td>{words}</td></tr>");
    }
    card(
        page,
        "Processor time and memory",
        &format!("<table class=\"plain\"><tbody>{rows}</tbody></table>"),
    );
    card(page, "Notes on validity", &notes(&summary.notes));
    page.push_str("</div>");
}

fn bullets(sentences: &[String]) -> String {
    let mut list = String::from("<ul>");
    for sentence in sentences {
        let _ = write!(list, "<li>{}</li>", escaped(sentence));
    }
    list + "</ul>"
}

fn notes(sentences: &[String]) -> String {
    if sentences.is_empty() { "<p>Nothing.</p>".to_owned() } else { bullets(sentences) }
}

/// The host that was measured, and its version, stand there only if the page is made by others.
fn foot(page: &mut String, summary: &Summary) {
    let origin = Origin::now();
    let facts = || summary.machine.iter().map(|(name, fact)| (name.as_str(), fact.as_str()));
    let (version, started) = (escaped(&summary.version), escaped(&summary.started));
    let measured = if summary.version == env!("CARGO_PKG_VERSION") && origin.is_of(facts()) {
        format!("<p>Measured {started}.</p>")
    } else {
        format!("<p>Measured by tcpecho {version}, {started}. {}.</p>", in_words(facts()))
    };
    page.push_str(&origin.foot_with(&measured));
}
