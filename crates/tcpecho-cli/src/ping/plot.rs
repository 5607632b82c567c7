//! One screen of times, drawn while they come: a graph for each target, and below them a legend and what was said last.

mod graph;
mod row;

use std::{
    collections::VecDeque,
    fmt::Write,
    time::{Duration, Instant},
};

use tcpecho_probe::{Event, Target};

use self::{
    graph::{AXIS, Fate, Sample, Style, graph},
    row::{Paint, Row},
};
use crate::units::{counted, ms, percent};

/// Drawn at most so often.
const FRAME: Duration = Duration::from_millis(100);
/// The most probes that are kept: those of the widest screen that is filled.
const PROBES: usize = 2000;
/// A screen of its own, without a cursor, and back.
pub(super) const ENTER: &str = "\x1b[?1049h\x1b[?25l";
pub(super) const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// What the terminal can show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) ascii: bool,
    pub(super) has_colour: bool,
}

/// What is drawn of a target.
#[derive(Debug, Default)]
struct Drawn {
    name: String,
    samples: VecDeque<Sample>,
    /// Why it does not answer.
    down: Option<String>,
}

#[derive(Debug)]
pub(super) struct Plot {
    targets: Vec<Drawn>,
    /// What was said last, below the graphs.
    note: Vec<String>,
    next: Instant,
    changed: bool,
    screen: Screen,
}

impl Plot {
    pub(super) fn new(screen: Screen) -> Self {
        let (targets, note) = (Vec::new(), Vec::new());
        Plot { targets, note, next: Instant::now(), changed: true, screen }
    }

    pub(super) fn resize(&mut self, screen: Screen) {
        (self.screen, self.changed) = (screen, true);
    }

    /// One thing that happened, and its line.
    pub(super) fn take(&mut self, target: &str, event: &Event, line: Option<&str>) {
        let drawn = self.drawn(target);
        let fate = match event {
            Event::Answer(answer) if answer.late => Fate::Late(answer.time),
            Event::Answer(answer) => Fate::Answer(answer.time),
            Event::Corrupted { .. } => Fate::Not('!'),
            Event::Lost { .. } => Fate::Not('x'),
            Event::Refused { .. } => Fate::Not('r'),
            other => {
                match other {
                    Event::Connected(_) => drawn.down = None,
                    Event::Broken(broken) => {
                        drawn.down = Some(format!("{}: {}", broken.ending(), broken.seen()));
                    }
                    Event::Unconnected { failures, .. } => {
                        let words = failures
                            .iter()
                            .map(|one| format!("{}: {}", one.ending, one.diagnosis.seen));
                        drawn.down = Some(words.collect::<Vec<_>>().join("; "));
                    }
                    Event::Unanswered(cause) => {
                        drawn.down = Some(cause.diagnosis.cause.clone());
                    }
                    _ => {}
                }
                // The same again has no line, and leaves what was said first.
                if let Some(line) = line.and_then(|line| line.lines().last()) {
                    self.note(vec![line.into()]);
                }
                self.changed = true;
                return;
            }
        };
        if matches!(fate, Fate::Answer(_) | Fate::Late(_)) {
            drawn.down = None;
        }
        if drawn.samples.len() >= PROBES {
            drawn.samples.pop_front();
        }
        drawn.samples.push_back(Sample { at: Instant::now(), fate });
        self.changed = true;
    }

    fn drawn(&mut self, target: &str) -> &mut Drawn {
        let known = self.targets.iter().position(|drawn| drawn.name == target);
        let index = known.unwrap_or_else(|| {
            self.targets.push(Drawn { name: target.into(), ..Drawn::default() });
            self.targets.len() - 1
        });
        &mut self.targets[index]
    }

    /// Lines to be read below, until the next ones.
    pub(super) fn note(&mut self, lines: Vec<String>) {
        (self.note, self.changed) = (lines, true);
    }

    /// When to draw next, if there is something new.
    pub(super) fn due(&self) -> Option<Instant> {
        self.changed.then_some(self.next)
    }

    /// The whole screen, if it is time.
    pub(super) fn draw(&mut self, targets: &[Target], now: Instant) -> Option<String> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        (self.next, self.changed) = (now + FRAME, false);
        let Screen { columns: width, rows: height, has_colour, .. } = self.screen;
        // One row is for notes even when there is none, so that the graphs keep their place; one is the legend.
        let above = height.saturating_sub(self.note.len().max(1) + 1);
        let band = (above / targets.len().max(1)).max(4);
        let mut rows = Vec::new();
        for (place, target) in targets.iter().enumerate() {
            rows.extend(self.band(place, target, band, now));
        }
        rows.truncate(above);
        if height > 1 {
            rows.push(Row::new(Paint::Plain, legend(self.screen.ascii)));
        }
        let notes = self.note.iter().take(height.saturating_sub(1));
        rows.extend(notes.map(|note| Row::new(Paint::Plain, note.clone())));
        let mut screen = String::from("\x1b[H");
        for (index, row) in rows.iter().enumerate() {
            row.draw(&mut screen, width, has_colour);
            let end = if index + 1 < rows.len() { "\r\n" } else { "" };
            let _ = write!(screen, "\x1b[K{end}");
        }
        screen.push_str("\x1b[J");
        Some(screen)
    }

    /// The rows of a target: its title, why it is down, its graph.
    fn band(&self, place: usize, target: &Target, height: usize, now: Instant) -> Vec<Row> {
        let paint = Paint::Target(place);
        let drawn = self.targets.iter().find(|drawn| drawn.name == target.name);
        let mut rows =
            vec![Row::new(paint, target.name.clone()).and(Paint::Plain, figures(target))];
        if let Some(why) = drawn.and_then(|drawn| drawn.down.as_ref()) {
            rows.push(Row::new(Paint::Bad, format!("{:>AXIS$}DOWN: {why}", "")));
        }
        let samples: Vec<Sample> =
            drawn.map(|drawn| drawn.samples.iter().copied().collect()).unwrap_or_default();
        let style = Style { ascii: self.screen.ascii, paint };
        let size = (self.screen.columns.saturating_sub(AXIS), height.saturating_sub(rows.len()));
        rows.extend(graph(&samples, size, now, style));
        rows
    }
}

fn figures(target: &Target) -> String {
    let stats = &target.stats;
    let [p50, p99] = [50.0, 99.0].map(|percent| ms(stats.time.percentile(percent)));
    let (min, max) = (ms(stats.time.min()), ms(stats.time.max()));
    let probes = counted(stats.transmitted, "probe", "probes");
    let loss = percent(stats.loss_percent());
    let again = match stats.retransmits {
        0 => String::new(),
        count => format!(", retrans {count}"),
    };
    let times = match stats.time.count() {
        0 => String::new(),
        _ => format!(", min {min} p50 {p50} p99 {p99} max {max} ms"),
    };
    format!("  {probes}, {loss}% loss{times}{again}")
}

fn legend(ascii: bool) -> String {
    let answered = if ascii { '*' } else { '⠂' };
    format!("{answered} answered  L late  x lost  r refused  ! corrupted  (time= in ms, log scale)")
}
