//! Several servers in one interleaved run: round after round each is started afresh and visited, so
//! that what else the machine does befalls all alike.

mod file;
mod ratio;
mod words;

use nix::sys::signal::Signal;
use serde::Deserialize;
use tcpecho::Ending;
use tcpecho_load::{Kind, Times};

pub(super) use self::file::SCHEMA;
use self::ratio::Ratio;
use super::{
    args::{ComparedServer, Plan},
    progress::Progress,
    report::{
        Summary,
        summary::{Distribution, MemoryEach, bounded},
    },
    server::ServerCommand,
    visit::{self, BenchError},
};
use crate::{exit, output::is_stdout_stderr, signals::Signals, tell::say, units::rate};

/// What came of one server over the rounds.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) low: f64,
    pub(super) middle: f64,
    pub(super) high: f64,
    /// Whether it is below that: in a round it was too little to be measured.
    pub(super) is_limit: bool,
}

impl Row<'_> {
    pub(super) fn words(&self) -> String {
        format!("{}{}", if self.is_limit { "< " } else { "" }, rate(self.middle))
    }
}

/// A server and what came of it. As JSON it is itself, less what follows from it.
#[derive(Deserialize)]
struct ServerResults {
    name: String,
    /// Why it is left out.
    #[serde(rename = "left_out")]
    refused: Option<String>,
    /// One for each round; `None` where there was no result.
    #[serde(deserialize_with = "bounded::list::<_, _, 10_000>")]
    rounds: Vec<Option<Box<Summary>>>,
    /// All rounds together.
    #[serde(skip)]
    times: Option<Times>,
}

pub(super) struct Comparison {
    servers: Vec<ServerResults>,
    stopped: Option<Signal>,
}

/// Visits all, and gives what came of it.
pub(super) fn run(
    plan: &Plan,
    servers: &[ComparedServer],
    signals: &Signals,
) -> Result<Comparison, BenchError> {
    let results = |server: &ComparedServer| ServerResults {
        name: server.name.clone(),
        rounds: Vec::new(),
        times: None,
        refused: unfit(plan, server),
    };
    let mut comparison =
        Comparison { servers: servers.iter().map(results).collect(), stopped: None };
    let mut progress = Progress::new(plan.quiet, Some(plan.duration));
    for round in 0..plan.rounds {
        for place in 0..servers.len() {
            // Each round begins with another server: none always comes after the same one.
            let server = (place + round) % servers.len();
            if comparison.servers[server].refused.is_some() {
                continue;
            }
            let name = &servers[server].name;
            progress.label(format!("{name} {}/{}", round + 1, plan.rounds));
            let visited = visit_one(plan, &servers[server], signals, &mut progress);
            progress.clear();
            match visited {
                Ok(summary) => {
                    let signal = summary.result.interrupted_by.clone();
                    comparison.servers[server].visited(summary);
                    if let Some(signal) = signal {
                        comparison.stopped = signal.parse().ok();
                        return Ok(comparison);
                    }
                }
                Err(BenchError::Impossible(reason)) if round == 0 => {
                    // The page has it as a note.
                    if plan.json || !is_stdout_stderr() {
                        say(&format!("{name} is left out: {reason}"));
                    }
                    comparison.servers[server].refused = Some(reason);
                }
                Err(BenchError::Impossible(reason)) => {
                    say(&format!("{name}, round {}: {reason}", round + 1));
                    comparison.servers[server].rounds.push(None);
                }
                Err(error) => return Err(error),
            }
        }
    }
    if comparison.rows().next().is_none() {
        return Err(BenchError::Impossible("no server of the comparison could be measured".into()));
    }
    Ok(comparison)
}

/// Why a server is not meant for this load.
fn unfit(plan: &Plan, server: &ComparedServer) -> Option<String> {
    let one_at_a_time = server.command == ServerCommand::Own("iterative".to_owned());
    let several = plan.connections > 1 && plan.workload.kind != Kind::ConnectRequestResponse;
    (one_at_a_time && several).then(|| "it serves one connection at a time (-c 1)".to_owned())
}

fn visit_one(
    plan: &Plan,
    server: &ComparedServer,
    signals: &Signals,
    progress: &mut Progress,
) -> Result<Summary, BenchError> {
    let mut setup = visit::start(plan, &server.command, &server.name)?;
    let unit = plan.workload.unit.words();
    let measured = visit::visit(plan, &mut setup, signals, &mut |event, row| {
        progress.see(event, row, unit);
    })?;
    Ok(Summary::of(&measured))
}

impl ServerResults {
    /// Keeps what came of a visit. One that a signal ended early is kept only if the server has no other.
    fn visited(&mut self, summary: Summary) {
        let is_cut = summary.result.interrupted_by.is_some();
        if is_cut && (self.summaries().next().is_some() || summary.answered_nothing()) {
            return;
        }
        if let Some(times) = summary.primary().map(Distribution::times) {
            self.times.get_or_insert_with(Times::new).add(&times);
        }
        self.rounds.push(Some(Box::new(summary)));
    }

    fn summaries(&self) -> impl Iterator<Item = &Summary> {
        self.rounds.iter().flatten().map(Box::as_ref)
    }

    /// What is shown: throughput, or for idle connections memory.
    fn shown(summary: &Summary) -> Option<f64> {
        match summary.kind() {
            Kind::Idle => summary.memory_each().map(|each| match each {
                MemoryEach::Measured(each) | MemoryEach::Below(each) => each,
            }),
            _ => Some(summary.result.throughput_per_s),
        }
    }

    /// Whether the figure of a round is only a limit that it is below.
    fn is_limit(summary: &Summary) -> bool {
        matches!(summary.memory_each(), Some(MemoryEach::Below(_)))
    }

    /// What the comparison is by. At a rate that is given throughput says little.
    fn figure(summary: &Summary) -> Option<f64> {
        match summary.settings.rate_from_per_s {
            Some(_) => Some(summary.primary()?.p99() as f64),
            None => Self::shown(summary),
        }
    }

    fn middle(&self) -> Option<f64> {
        median(&sorted(self.summaries().filter_map(Self::figure)))
    }

    fn row(&self) -> Option<Row<'_>> {
        let figures = sorted(self.summaries().filter_map(Self::shown));
        let (low, high) = (*figures.first()?, *figures.last()?);
        let is_limit = self.summaries().any(Self::is_limit);
        Some(Row { name: &self.name, low, middle: median(&figures)?, high, is_limit })
    }

    fn errors(&self) -> u64 {
        self.summaries().map(Summary::error_count).fold(0, u64::saturating_add)
    }
}

impl Comparison {
    /// The servers, the best first, by the figure that the ratio is of.
    fn ranked(&self) -> Vec<&ServerResults> {
        let mut servers: Vec<&ServerResults> = self.servers.iter().collect();
        servers.sort_by(|one, other| match (one.middle(), other.middle()) {
            (Some(one), Some(other)) if self.less_is_better() => one.total_cmp(&other),
            (Some(one), Some(other)) => other.total_cmp(&one),
            (one, other) => other.is_some().cmp(&one.is_some()),
        });
        servers
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.ranked().into_iter().filter_map(ServerResults::row)
    }

    pub(super) fn summaries(&self) -> impl Iterator<Item = &Summary> {
        self.servers.iter().flat_map(ServerResults::summaries)
    }

    /// The latencies of each, all rounds together.
    pub(super) fn merged(&self) -> impl Iterator<Item = (&str, Option<&Times>)> {
        let some = self.ranked().into_iter().filter(|one| one.row().is_some());
        some.map(|one| (one.name.as_str(), one.times.as_ref()))
    }

    pub(super) fn rounds_in_words(&self) -> String {
        format!("{}, each server started afresh and visited in turn", rounds(self.rounds()))
    }

    /// How many rounds were gone through, the last perhaps not by all.
    fn rounds(&self) -> usize {
        self.servers.iter().map(|one| one.rounds.len()).max().unwrap_or_default()
    }

    fn idle(&self) -> bool {
        self.summaries().next().is_some_and(|summary| summary.kind() == Kind::Idle)
    }

    /// Whether a smaller figure is the better one.
    fn less_is_better(&self) -> bool {
        self.idle() || self.paced()
    }

    fn paced(&self) -> bool {
        let first = self.summaries().next();
        first.is_some_and(|summary| summary.settings.rate_from_per_s.is_some())
    }

    fn best(&self) -> Option<&ServerResults> {
        let all = self.servers.iter().filter_map(|one| Some((one, one.middle()?)));
        let better = |a: &(&ServerResults, f64), b: &(&ServerResults, f64)| a.1.total_cmp(&b.1);
        let best = if self.less_is_better() { all.min_by(better) } else { all.max_by(better) };
        best.map(|(one, _)| one)
    }

    /// How many times better `best` was, paired by round, so that what the machine did meanwhile befell
    /// both.
    fn ratio(&self, one: &ServerResults, best: &ServerResults) -> Option<Ratio> {
        if std::ptr::eq(one, best) {
            return None;
        }
        let pairs = one.rounds.iter().zip(&best.rounds);
        let ratios: Vec<f64> = pairs
            .filter_map(|(one, best)| {
                let one = ServerResults::figure(one.as_ref()?)?;
                let best = ServerResults::figure(best.as_ref()?)?;
                let ratio = if self.less_is_better() { one / best } else { best / one };
                (ratio.is_finite() && ratio > 0.0).then_some(ratio)
            })
            .collect();
        let is_limit = |one: &ServerResults| one.summaries().any(ServerResults::is_limit);
        let at_least = match (is_limit(one), is_limit(best)) {
            // Of a server that is below a limit it is not known how much worse it is.
            (true, _) => return None,
            (false, at_least) => at_least,
        };
        Ratio::of(&ratios).map(|ratio| Ratio { at_least, ..ratio })
    }

    pub(super) fn status(&self) -> u8 {
        let mismatch = |summary: &Summary| summary.count_of(Ending::Mismatch) > 0;
        let is_bad = |summary: &Summary| summary.error_count() > 0 || summary.answered_nothing();
        match self.stopped {
            _ if self.summaries().any(mismatch) => 1,
            Some(signal) => exit::interrupted_by(signal),
            None if self.summaries().any(is_bad) => exit::BROKEN,
            None => 0,
        }
    }
}

fn rounds(count: usize) -> String {
    format!("{count} round{}", if count == 1 { "" } else { "s" })
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two servers in three rounds each, of so many messages a second, at a rate that was given or as fast as they could.
    pub(in crate::bench) fn example(rates: [f64; 2], paced: bool) -> Comparison {
        let results = |(name, rate): (&str, f64)| {
            let round = |_| {
                let mut summary = Summary::example();
                summary.result.throughput_per_s = rate;
                if paced {
                    summary.settings.rate_from_per_s = Some(rate);
                    let mut times = Times::new();
                    times.record_many((1e9 / rate) as u64, 100);
                    summary.latency.response = Distribution::of(&times);
                }
                Some(Box::new(summary))
            };
            let rounds = (0..3).map(round).collect();
            ServerResults { name: name.into(), refused: None, rounds, times: None }
        };
        let servers = ["one", "two"].into_iter().zip(rates).map(results).collect();
        Comparison { servers, stopped: None }
    }

    #[test]
    fn the_closing_sentence_says_what_was_compared() {
        let closing = |rates, paced| example(rates, paced).closing();
        let [faster] = &closing([1000.0, 2000.0], false)[..] else { panic!() };
        assert_eq!(faster, "two was 2.00 times faster than one (2.00 to 2.00)");
        let [quicker] = &closing([3000.0, 1000.0], true)[..] else { panic!() };
        assert!(quicker.starts_with("one was 3.00 times quicker (p99) than two (3.0"), "{quicker}");
        let [even] = &closing([1000.0, 1000.0], false)[..] else { panic!() };
        assert!(even.contains("no difference beyond noise (1.00 to 1.00)"), "{even}");
    }

    #[test]
    fn two_rounds_are_too_few() {
        let mut comparison = example([1000.0, 2000.0], false);
        for server in &mut comparison.servers {
            server.rounds.truncate(2);
        }
        let [few] = &comparison.closing()[..] else { panic!() };
        assert_eq!(
            few,
            "two was 2.00 times faster than one in 2 rounds, too few to tell a difference from noise: use --rounds 3 or more"
        );
    }

    #[test]
    fn rows_are_sorted_by_the_figure_of_the_ratio_and_the_best_is_first() {
        for (rates, paced, order) in [
            ([1000.0, 2000.0], false, "sorted by throughput, more is better"),
            ([1000.0, 2000.0], true, "sorted by p99, less is better"),
        ] {
            let comparison = example(rates, paced);
            let names: Vec<String> =
                comparison.cells().into_iter().map(|mut cells| cells.remove(0)).collect();
            assert_eq!(names, ["two", "one"]);
            let page = comparison.page(false, crate::bench::report::look::Look::PLAIN);
            assert!(page.contains(order), "{page}");
            assert!(page.contains("times slower"), "{page}");
        }
    }

    #[test]
    fn the_longest_bar_of_a_page_is_as_wide_as_its_track() {
        let page = crate::bench::report::html::comparison(&example([1000.0, 4000.0], false));
        for width in
            ["style=\"width:25.00%\"", "style=\"width:100.00%\"", "left:25.00%;width:0.20%"]
        {
            assert!(page.contains(width), "{width}");
        }
    }

    #[test]
    fn medians() {
        assert_eq!(median(&sorted([3.0, f64::NAN, 1.0, 2.0].into_iter())), Some(2.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }
}
