//! One screen of times, drawn while they come: a graph for each target, and below them a legend and what was said last.

mod graph;
mod row;

use std::{
    collections::VecDeque,
    fmt::Write,
    time::{Duration, Instant},
};

use tcpecho_probe::{Event, Target};
use textwrap::core::display_width;

use self::{
    graph::{AXIS, Fate, Sample, Style, graph},
    row::{Paint, Row},
};
use crate::{
    units::{counted, ms, percent},
    width::folded,
};

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
        let notes = self.note.iter().flat_map(|note| wrapped(Paint::Plain, &[note], 0, width));
        let notes: Vec<Row> = notes.take(height.saturating_sub(1)).collect();
        let legend = legend(self.screen.ascii, width);
        // One row is for notes even when there is none, so that the graphs keep their place.
        let above = height.saturating_sub(notes.len().max(1) + legend.len());
        let band = (above / targets.len().max(1)).max(4);
        let mut rows = Vec::new();
        for (place, target) in targets.iter().enumerate() {
            rows.extend(self.band(place, target, band, now));
        }
        rows.truncate(above);
        if height > 1 {
            rows.extend(legend);
        }
        rows.extend(notes);
        rows.truncate(height);
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
        let width = self.screen.columns;
        let mut rows = title(paint, target, width);
        if let Some(why) = drawn.and_then(|drawn| drawn.down.as_ref()) {
            rows.extend(wrapped(Paint::Bad, &[&format!("DOWN: {why}")], AXIS, width));
        }
        let samples: Vec<Sample> =
            drawn.map(|drawn| drawn.samples.iter().copied().collect()).unwrap_or_default();
        let style = Style { ascii: self.screen.ascii, paint };
        let size = (self.screen.columns.saturating_sub(AXIS), height.saturating_sub(rows.len()));
        rows.extend(graph(&samples, size, now, style));
        rows
    }
}

/// The name of a target and its figures, in one row if they fit.
fn title(paint: Paint, target: &Target, width: usize) -> Vec<Row> {
    let figures = figures(target);
    let line = figures.join(", ");
    if display_width(&target.name) + display_width(&line) + 2 <= width {
        return vec![Row::new(paint, target.name.clone()).and(Paint::Plain, format!("  {line}"))];
    }
    let parts: Vec<&str> = line.split_inclusive(", ").map(str::trim_end).collect();
    let mut rows = vec![Row::new(paint, target.name.clone())];
    rows.extend(wrapped(Paint::Plain, &parts, 2, width));
    rows
}

fn figures(target: &Target) -> Vec<String> {
    let stats = &target.stats;
    let [p50, p99] = [50.0, 99.0].map(|percent| ms(stats.time.percentile(percent)));
    let (min, max) = (ms(stats.time.min()), ms(stats.time.max()));
    let probes = counted(stats.transmitted, "probe", "probes");
    let mut figures = vec![probes, format!("{}% loss", percent(stats.loss_percent()))];
    if stats.time.count() > 0 {
        figures.push(format!("min {min} p50 {p50} p99 {p99} max {max} ms"));
    }
    if stats.retransmits > 0 {
        figures.push(format!("retrans {}", stats.retransmits));
    }
    figures
}

fn legend(ascii: bool, width: usize) -> Vec<Row> {
    let answered = if ascii { "* answered " } else { "⠂ answered " };
    let marks = ["L late ", "x lost ", "r refused ", "! corrupted ", "(time= in ms, log scale)"];
    wrapped(Paint::Plain, &[&[answered][..], &marks].concat(), 0, width)
}

/// Returns the parts in rows of so many columns, with so many blanks before them.
fn wrapped(paint: Paint, parts: &[&str], indent: usize, width: usize) -> Vec<Row> {
    let text = folded(parts.iter().copied(), Some(width.saturating_sub(indent)));
    let row = |line: &str| Row::new(paint, format!("{:indent$}{line}", "")).trimmed();
    text.lines().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_legend_is_cut_off() {
        let rows = |width| legend(false, width).iter().map(Row::text).collect::<Vec<_>>();
        let whole = "⠂ answered  L late  x lost  r refused  ! corrupted  (time= in ms, log scale)";
        assert_eq!(rows(80), [whole]);
        let narrow = rows(60);
        assert_eq!(narrow[0], "⠂ answered  L late  x lost  r refused  ! corrupted");
        assert_eq!(narrow[1], "  (time= in ms, log scale)");
    }
}
