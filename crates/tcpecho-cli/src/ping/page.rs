//! The page of `--html`: for each target its summary, its times over the run, and their histogram.
//!
//! The memory does not grow with the number of probes: the times of a run are kept in at most [`MOST`] stretches of equal
//! length, which become twice as long when there are too many.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use tcpecho::Diagnosis;
use tcpecho_probe::{Event, Mode, Outcome, Target};

use super::{histogram, summary};
use crate::{
    markup::escaped,
    page::{
        Origin, head,
        svg::{Axis, Series, chart, columns},
    },
    units::{count, ms, percent, time},
};

/// The most stretches of a target.
const MOST: usize = 400;
/// The length of a stretch at first.
const SHORTEST: Duration = Duration::from_millis(10);
/// The most breaks that are listed of a target.
const BREAKS: usize = 50;

/// What is remembered of a run for its page.
pub(super) struct Record {
    start: Instant,
    targets: Vec<(String, Track)>,
}

/// One target over time.
struct Track {
    length: Duration,
    stretches: Vec<Stretch>,
    /// What broke, and when.
    breaks: Vec<(Duration, String, String)>,
    /// Breaks that are not listed.
    more: u64,
}

/// Answers that came in a stretch of the run, and probes that were given up in it.
#[derive(Default, Clone, Copy)]
struct Stretch {
    answers: u64,
    sum: Duration,
    least: Duration,
    most: Duration,
    unanswered: u64,
}

impl Stretch {
    fn join(self, other: Stretch) -> Stretch {
        let least = match (self.answers, other.answers) {
            (0, _) => other.least,
            (_, 0) => self.least,
            _ => self.least.min(other.least),
        };
        Stretch {
            answers: self.answers + other.answers,
            sum: self.sum.saturating_add(other.sum),
            least,
            most: self.most.max(other.most),
            unanswered: self.unanswered + other.unanswered,
        }
    }
}

impl Track {
    fn new() -> Self {
        Track { length: SHORTEST, stretches: Vec::new(), breaks: Vec::new(), more: 0 }
    }

    fn add(&mut self, at: Duration, seen: Stretch) {
        let mut place = self.place(at);
        while place >= MOST {
            let joined = self.stretches.chunks(2);
            self.stretches = joined
                .map(|pair| pair.iter().copied().fold(Stretch::default(), Stretch::join))
                .collect();
            self.length = self.length.saturating_mul(2);
            place = self.place(at);
        }
        if self.stretches.len() <= place {
            self.stretches.resize(place + 1, Stretch::default());
        }
        if let Some(stretch) = self.stretches.get_mut(place) {
            *stretch = stretch.join(seen);
        }
    }

    fn place(&self, at: Duration) -> usize {
        usize::try_from(at.as_nanos() / self.length.as_nanos().max(1)).unwrap_or(usize::MAX)
    }

    /// The stretches with the middle of each, in seconds.
    fn points(&self) -> impl Iterator<Item = (f64, &Stretch)> {
        let length = self.length.as_secs_f64();
        self.stretches.iter().enumerate().map(move |(at, one)| ((at as f64 + 0.5) * length, one))
    }
}

impl Record {
    pub(super) fn new() -> Self {
        Record { start: Instant::now(), targets: Vec::new() }
    }

    pub(super) fn take(&mut self, target: &str, event: &Event) {
        let at = self.start.elapsed();
        match event {
            // A time that contains a pause of this program says nothing about the server.
            Event::Answer(answer) if answer.paused.is_zero() => {
                let (answers, time) = (1, answer.time);
                let seen =
                    Stretch { answers, sum: time, least: time, most: time, ..Stretch::default() };
                self.track(target).add(at, seen);
            }
            Event::Lost { .. } | Event::Corrupted { .. } | Event::Refused { .. } => {
                self.track(target).add(at, Stretch { unanswered: 1, ..Stretch::default() });
            }
            Event::Broken(broken) => {
                let track = self.track(target);
                if track.breaks.len() < BREAKS {
                    track.breaks.push((at, broken.seen(), broken.diagnosis.cause.clone()));
                } else {
                    track.more += 1;
                }
            }
            _ => {}
        }
    }

    fn track(&mut self, target: &str) -> &mut Track {
        let place = self.targets.iter().position(|(name, _)| name == target).unwrap_or_else(|| {
            self.targets.push((target.to_owned(), Track::new()));
            self.targets.len() - 1
        });
        &mut self.targets[place].1
    }

    /// The page of the run.
    pub(super) fn page(
        &self,
        outcome: &Outcome,
        unresolved: &[(String, Diagnosis)],
        mode: Mode,
    ) -> String {
        let mut page = head("tcpecho ping");
        for target in &outcome.targets {
            let track = self.targets.iter().find(|(name, _)| *name == target.name);
            section(&mut page, target, track.map(|(_, track)| track), mode);
        }
        for (name, diagnosis) in unresolved {
            let _ = write!(page, "<section class=\"card\"><h2>{}</h2>", escaped(name));
            let Diagnosis { seen, cause, advice, .. } = diagnosis;
            for (word, text) in [("Seen", seen), ("Means", cause), ("Try", advice)] {
                let text = escaped(text);
                let _ = write!(page, "<p><b class=\"label\">{word}</b> {text}</p>");
            }
            page.push_str("</section>");
        }
        if outcome.pauses > 0 {
            let (all, pauses) = (ms(outcome.paused), outcome.pauses);
            let _ = write!(
                page,
                "<p>This program itself did not run for {all} ms in all ({pauses} pauses).</p>"
            );
        }
        page + &Origin::now().foot()
    }
}

fn section(page: &mut String, target: &Target, track: Option<&Track>, mode: Mode) {
    let _ = write!(page, "<section><h2>{}</h2><div class=\"tiles\">", escaped(&target.name));
    let stats = &target.stats;
    let mut tile = |class: &str, value: &str, name: &str| {
        let value = escaped(value);
        let _ = write!(
            page,
            "<div class=\"card tile {class}\"><b>{value}</b><span>{name}</span></div>"
        );
    };
    tile("", &count(stats.transmitted), "probes");
    let loss = stats.loss_percent();
    let (class, sign) = if loss > 0.0 { ("bad", "✗ ") } else { ("good", "") };
    tile(class, &format!("{sign}{} %", percent(loss)), "loss");
    if stats.time.count() > 0 {
        for (name, share) in [("p50", 50.0), ("p99", 99.0)] {
            tile("", &time(stats.time.percentile(share).as_nanos() as f64), name);
        }
        tile("", &time(stats.time.max().as_nanos() as f64), "max");
    }
    page.push_str("</div><div class=\"grid2\">");
    if let Some(drawn) = track.and_then(over_time) {
        let _ = write!(page, "<div class=\"card\"><h3>Times over the run</h3>{drawn}</div>");
    }
    let rows = histogram::rows(&stats.time);
    if let Some((_, end, _)) = rows.last() {
        let named = |span: &Duration| time(span.as_nanos() as f64);
        let counts: Vec<(String, u64)> =
            rows.iter().map(|(low, _, count)| (named(low), *count)).collect();
        let drawn = columns("Histogram of the times", &counts, &named(end));
        let _ = write!(page, "<div class=\"card\"><h3>Histogram of the times</h3>{drawn}</div>");
    }
    page.push_str("<div class=\"card\"><h3>Summary</h3><ul>");
    for line in summary::lines(target, mode).iter().skip(1) {
        let _ = write!(page, "<li>{}</li>", escaped(line));
    }
    page.push_str("</ul></div>");
    if let Some(track) = track.filter(|track| !track.breaks.is_empty()) {
        breaks(page, track);
    }
    page.push_str("</div></section>");
}

fn breaks(page: &mut String, track: &Track) {
    page.push_str("<div class=\"card\"><h3>Connections that broke</h3><ul>");
    for (at, seen, cause) in &track.breaks {
        let (at, seen, cause) = (time(at.as_nanos() as f64), escaped(seen), escaped(cause));
        let _ = write!(page, "<li>at {at}: {seen}: {cause}</li>");
    }
    if track.more > 0 {
        let _ = write!(page, "<li>{} more</li>", track.more);
    }
    page.push_str("</ul></div>");
}

/// A line through every time, or through the shortest, the mean and the longest of each stretch.
fn over_time(track: &Track) -> Option<String> {
    let line = |name: &str, value: fn(&Stretch) -> Duration| Series {
        name: name.to_owned(),
        points: track
            .points()
            .filter(|(_, one)| one.answers > 0)
            .map(|(at, one)| (at, value(one).as_nanos() as f64))
            .collect(),
    };
    let is_single = track.stretches.iter().all(|one| one.answers <= 1);
    let mut lines = vec![line(if is_single { "time" } else { "longest" }, |one| one.most)];
    if !is_single {
        let mean = |one: &Stretch| {
            Duration::from_nanos((one.sum.as_nanos() / u128::from(one.answers.max(1))) as u64)
        };
        lines.extend([line("mean", mean), line("shortest", |one| one.least)]);
    }
    let marks: Vec<f64> =
        track.points().filter(|(_, one)| one.unanswered > 0).map(|(at, _)| at).collect();
    lines.retain(|line| !line.points.is_empty());
    let values = || lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let y = if values().next().is_some() {
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(1.0, f64::max));
        Axis::decades(low, high, time)
    } else if marks.is_empty() {
        return None;
    } else {
        Axis { log: false, low: 0.0, high: 1.0, ticks: Vec::new() }
    };
    let x = Axis::seconds(track.length.as_secs_f64() * track.stretches.len() as f64);
    Some(chart("Times over the run", &x, &y, &lines, &marks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(time: Duration) -> Stretch {
        Stretch { answers: 1, sum: time, least: time, most: time, unanswered: 0 }
    }

    #[test]
    fn a_long_run_keeps_every_count_and_extreme_in_a_limited_number_of_stretches() {
        let mut track = Track::new();
        for n in 0..100_000_u64 {
            track.add(Duration::from_millis(n * 7), answer(Duration::from_micros(100 + n % 50)));
        }
        track.add(Duration::from_secs(700), answer(Duration::from_secs(2)));
        track.add(Duration::from_secs(1), Stretch { unanswered: 1, ..Stretch::default() });
        assert!(track.stretches.len() <= MOST && track.stretches.len() > MOST / 4);
        let answers = track.stretches.iter().map(|one| one.answers).sum::<u64>();
        assert_eq!(answers, 100_001);
        let all = track.stretches.iter().copied().fold(Stretch::default(), Stretch::join);
        assert_eq!((all.least, all.most), (Duration::from_micros(100), Duration::from_secs(2)));
        assert_eq!(all.unanswered, 1);
        let drawn = over_time(&track).unwrap();
        assert!(drawn.contains("shortest") && drawn.contains("not answered"), "{drawn}");
        track.add(Duration::MAX, answer(Duration::from_secs(1)));
        assert!(track.stretches.len() <= MOST);
    }

    #[test]
    fn a_run_without_answers_has_marks_and_no_line() {
        let mut track = Track::new();
        assert!(over_time(&track).is_none());
        track.add(Duration::from_secs(5), Stretch { unanswered: 1, ..Stretch::default() });
        let drawn = over_time(&track).unwrap();
        assert!(drawn.contains("not answered") && !drawn.contains("NaN"), "{drawn}");
    }
}
