//! A comparison in words: its table, the sentences that end it, and what a reader must know.

use std::fmt::Write;

use tcpecho_load::Kind;

use super::{
    Comparison, ServerResults, median,
    ratio::{LEAST_ROUNDS, Ratio, Verdict},
    rounds, sorted,
};
use crate::bench::report::{
    Summary,
    look::Look,
    table::{DOUBTS, gigabits},
};
use crate::units::{count, digits, time};

impl Comparison {
    pub(in crate::bench) fn titles(&self) -> Vec<&str> {
        let unit = match self.summaries().next() {
            Some(_) if self.idle() => "bytes/connection",
            Some(summary) => summary.workload().map_or("", |workload| workload.unit.words()),
            None => "",
        };
        let mut titles = vec!["server", unit];
        titles.extend(self.streams().then_some("Gbit/s"));
        titles.extend(["spread", self.worse(), "p50", "p99", "p99.9", "server time", "errors"]);
        titles
    }

    /// The title of the ratio: how many times worse than the best a server is.
    fn worse(&self) -> &'static str {
        match (self.idle(), self.paced()) {
            (true, _) => "times heavier",
            (_, true) => "times slower (p99)",
            _ => "times slower",
        }
    }

    /// What the rows are sorted by, and which way is better.
    pub(in crate::bench) fn order(&self) -> String {
        let (by, better) = match (self.idle(), self.paced()) {
            (true, _) => ("bytes/connection", "less"),
            (_, true) => ("p99", "less"),
            _ => ("throughput", "more"),
        };
        let worse = self.worse();
        format!(
            "sorted by {by}, {better} is better; \"{worse}\" is against the best, paired by round"
        )
    }

    fn streams(&self) -> bool {
        self.summaries().next().is_some_and(|summary| summary.kind() == Kind::Stream)
    }

    /// The table's cells, a row for each server that was measured.
    pub(in crate::bench) fn cells(&self) -> Vec<Vec<String>> {
        let best = self.best();
        let cells = |one: &ServerResults| {
            let row = one.row()?;
            let spread = (row.high - row.low) / row.middle.max(1e-9) * 100.0;
            let ratio = match best.and_then(|best| self.ratio(one, best)) {
                Some(ratio) => ratio.cell(),
                None if best.is_some_and(|best| std::ptr::eq(best, one)) => "1".to_owned(),
                // No round that both were in.
                None => "-".to_owned(),
            };
            let quantile = |q| {
                let at = one.times.as_ref().and_then(|times| times.quantile(q));
                at.map_or_else(|| "-".to_owned(), |ns| time(ns as f64))
            };
            let costs = sorted(one.summaries().filter_map(|s| s.server.cpu_ns_per_unit));
            let cost = median(&costs).filter(|_| !self.idle());
            let mut cells = vec![row.name.to_owned(), row.words()];
            cells.extend(self.streams().then(|| digits(gigabits(row.middle))));
            cells.extend([
                format!("{spread:.0} %"),
                ratio,
                quantile(0.5),
                quantile(0.99),
                quantile(0.999),
                cost.map_or_else(|| "-".to_owned(), time),
                count(one.errors()),
            ]);
            Some(cells)
        };
        self.ranked().into_iter().filter_map(cells).collect()
    }

    /// The sentences that end the report.
    pub(in crate::bench) fn closing(&self) -> Vec<String> {
        let Some(best) = self.best() else { return Vec::new() };
        let mut others: Vec<(&str, Ratio)> = self
            .servers
            .iter()
            .filter_map(|one| Some((one.name.as_str(), self.ratio(one, best)?)))
            .collect();
        others.sort_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
        let what = match (self.idle(), self.paced()) {
            (true, _) => "times lighter",
            (_, true) => "times quicker (p99)",
            _ => "times faster",
        };
        let name = &best.name;
        let line = |(other, ratio): &(&str, Ratio)| {
            let range = ratio.range();
            match ratio.verdict() {
                Verdict::Noise => {
                    format!("{name} and {other}: no difference beyond noise ({range})")
                }
                Verdict::Different => format!("{name} was {ratio} {what} than {other} ({range})"),
                Verdict::Unknown => format!(
                    "{name} was {ratio} {what} than {other} in {}, too few to tell a difference from noise: use \
                     --rounds {LEAST_ROUNDS} or more",
                    rounds(ratio.rounds)
                ),
            }
        };
        others.iter().map(line).collect()
    }

    pub(in crate::bench) fn page(&self, quiet: bool, look: Look) -> String {
        let mut page = String::new();
        if let Some(first) = self.summaries().next() {
            let (words, rounds) = (&first.settings.words, self.rounds_in_words());
            let _ = writeln!(page, "{words}\n{rounds}\n{}\n", self.order());
        } else {
            let signal = self.stopped.map_or("a signal", |signal| signal.as_str());
            return format!(
                "nothing was measured: {signal} ended the comparison in its first visit\n"
            );
        }
        let titles: Vec<String> = self.titles().iter().map(|title| (*title).to_owned()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(titles).chain(self.cells()).collect();
        page.push_str(&look.table(&rows));
        page.push('\n');
        for line in self.closing() {
            let _ = writeln!(page, "{line}");
        }
        for note in self.notes(quiet) {
            let _ = writeln!(page, "note: {note}");
        }
        // What the generator says about itself, and what failed.
        let failed = self
            .servers
            .iter()
            .filter(|one| one.errors() > 0 || one.summaries().any(Summary::answered_nothing));
        let failed: Vec<String> = failed.map(|one| format!("note: {}: ", one.name)).collect();
        let failed: Vec<&str> = failed.iter().map(String::as_str).collect();
        look.painted(&look.wrapped(&page), &failed, &["note: in "])
    }

    /// What a reader must know, each once; `quiet` leaves out all but what failed.
    pub(in crate::bench) fn notes(&self, quiet: bool) -> Vec<String> {
        let mut notes = Vec::new();
        let unreliable: &[&str] = if quiet { &[] } else { &DOUBTS };
        for start in unreliable.iter().copied() {
            let with =
                |summary: &&Summary| summary.notes.iter().any(|note| note.starts_with(start));
            let (with, all) = (self.summaries().filter(with).count(), self.summaries().count());
            if with > 0 {
                let what = match start {
                    "the client was" => "the client was the limit",
                    "client and server" => "client and server were both at their limit",
                    "this program did" => "this program was paused for a while",
                    _ => "the client waited for a processor that others used",
                };
                notes.push(format!("in {with} of {all} visits {what}"));
            }
        }
        for one in &self.servers {
            if let Some(reason) = &one.refused {
                notes.push(format!("{} is left out: {reason}", one.name));
            }
            let first = one.summaries().flat_map(|summary| &summary.errors).next();
            if let Some(error) = first {
                let errors = count(one.errors());
                notes.push(format!(
                    "{}: {errors} errors, such as {}: {}",
                    one.name, error.ending, error.first
                ));
            }
            let cut = one.summaries().find_map(|summary| summary.result.interrupted_by.as_ref());
            if let Some(signal) = cut {
                notes.push(format!("{}: {signal} ended its only visit early", one.name));
            }
            if one.summaries().any(Summary::answered_nothing) {
                notes.push(format!("{}: nothing was answered", one.name));
            }
            let death = |summary: &Summary| {
                summary.notes.iter().find(|note| note.starts_with("the server ended")).cloned()
            };
            if let Some(death) = one.summaries().find_map(death) {
                notes.push(format!("{}: {death}", one.name));
            }
        }
        notes
    }
}
