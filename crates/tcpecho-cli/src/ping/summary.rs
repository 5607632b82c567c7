//! What is said at the end, in ping's form and then more.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use tcpecho::Diagnosis;
use tcpecho_probe::{Mode, Series, Stats, Target};

use crate::{
    threshold::{Figures, QUANTILES},
    units::{counted, exact_ms, ms, percent},
};

/// The summary of one target.
pub(super) fn lines(target: &Target, mode: Mode) -> Vec<String> {
    let stats = &target.stats;
    let time = target.start().map(|start| start.elapsed()).unwrap_or_default();
    let mut lines =
        vec![format!("--- {} tcpecho ping statistics ---", target.name), counts(target, time)];
    if stats.untimed() > 0 {
        let answers = counted(stats.untimed(), "answer", "answers");
        lines.push(format!("{answers} not timed: this program did not run meanwhile"));
    }
    if stats.time.count() > 0 {
        lines.extend([extremes("time", &stats.time), spread("time", &stats.time)]);
    }
    if mode != Mode::Connect && stats.rtt.count() > 0 {
        let clock = clock(stats.by_kernel, stats.rtt.count());
        let (jitter, retransmits) = (ms(stats.jitter()), stats.retransmits);
        lines.push(format!("{}, {clock}", spread("rtt", &stats.rtt)));
        lines.push(format!("jitter {jitter} ms, retransmits {retransmits}"));
    } else if stats.retransmits > 0 {
        lines.push(format!("retransmits {}", stats.retransmits));
    }
    if stats.connections > 1 || mode == Mode::Reconnect {
        let connections = counted(stats.connections, "connection", "connections");
        let broke = match stats.breaks {
            0 => String::new(),
            breaks => format!(", {breaks} broke"),
        };
        let least = exact_ms(stats.connect.min());
        let (mean, most) = (exact_ms(stats.connect.mean()), exact_ms(stats.connect.max()));
        lines.push(format!("{connections}{broke}, connect min/avg/max = {least}/{mean}/{most} ms"));
    }
    let outages = target.outages(Instant::now());
    if outages.count > 0 {
        let count = counted(outages.count, "outage", "outages");
        let (all, longest) = (ms(outages.all), ms(outages.longest));
        let unended = outages
            .unended
            .map(|span| format!("; the last, of {} ms, has not ended", ms(span)))
            .unwrap_or_default();
        lines.push(format!("{count}, {all} ms in all, the longest {longest} ms{unended}"));
    }
    lines
}

/// The summary of a target whose name has no address.
pub(super) fn unresolved_lines(name: &str, diagnosis: &Diagnosis) -> Vec<String> {
    vec![
        format!("--- {name} tcpecho ping statistics ---"),
        format!("0 probes transmitted: the name has no address ({})", diagnosis.ending),
    ]
}

/// The figures that a condition of `--fail-if` can look at.
pub(super) fn figures(stats: &Stats, mode: Mode) -> Figures {
    let series = if mode == Mode::Connect { &stats.time } else { &stats.rtt };
    let nanoseconds = |span: Duration| Some(span.as_nanos() as f64).filter(|_| series.count() > 0);
    Figures {
        quantiles: QUANTILES
            .iter()
            .map(|(_, share)| nanoseconds(series.percentile(share * 100.0)))
            .collect(),
        max: nanoseconds(series.max()),
        mean: nanoseconds(series.mean()),
        loss: (stats.transmitted > 0).then(|| stats.loss_percent()),
        ..Figures::default()
    }
}

/// Who took the stamps of so many of all round trips.
fn clock(by_kernel: u64, all: u64) -> String {
    match by_kernel {
        0 => "user timestamps".into(),
        some if some == all => "kernel timestamps".into(),
        some => format!("kernel timestamps for {some}"),
    }
}

fn counts(target: &Target, time: Duration) -> String {
    let stats = &target.stats;
    let mut line = format!("{} probes transmitted, {} received", stats.transmitted, stats.answered);
    for (count, word) in [
        (stats.late, "late"),
        (stats.refused, "refused"),
        (stats.corrupted, "corrupted"),
        (stats.lost, "lost"),
        (target.under_way(), "under way"),
    ] {
        if count > 0 {
            let _ = write!(line, ", {count} {word}");
        }
    }
    for (count, words) in [(stats.doubled, "doubled"), (stats.foreign_bytes, "bytes foreign")] {
        if count > 0 {
            let _ = write!(line, ", +{count} {words}");
        }
    }
    format!("{line}, {}% loss, time {}ms", percent(stats.loss_percent()), time.as_millis())
}

fn extremes(word: &str, series: &Series) -> String {
    let all = [series.min(), series.mean(), series.max(), series.deviation()];
    format!("{word} min/avg/max/mdev = {} ms", all.map(exact_ms).join("/"))
}

fn spread(word: &str, series: &Series) -> String {
    let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|percent| series.percentile(percent));
    let all = [p50, p90, p99, series.max()];
    format!("{word} p50/p90/p99/max = {} ms", all.map(exact_ms).join("/"))
}

/// As fping -C prints it: the time of each probe in milliseconds, `-` for those without one.
pub(super) fn fping(name: &str, times: &[Option<Duration>], width: usize) -> String {
    let times: Vec<String> = times.iter().map(|time| time.map_or("-".into(), ms)).collect();
    format!("{name:<width$} : {}", times.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_the_round_trips_is_named() {
        assert_eq!(clock(0, 5), "user timestamps");
        assert_eq!(clock(3, 5), "kernel timestamps for 3");
        assert_eq!(clock(5, 5), "kernel timestamps");
    }
}
