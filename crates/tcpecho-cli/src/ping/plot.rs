//! One screen of times, drawn while they come: a column for each probe, the time upwards on a logarithmic scale.

use std::{
    collections::VecDeque,
    fmt::Write,
    time::{Duration, Instant},
};

use tcpecho_os::text::is_plain;
use tcpecho_probe::{Event, Target};

use crate::units::{counted, ms, percent};

/// Drawn at most so often.
const FRAME: Duration = Duration::from_millis(100);
/// The widest screen that is filled.
const COLUMNS: usize = 1000;
/// What stands left of the columns.
const AXIS: usize = 9;
/// A screen of its own, without a cursor, and back.
pub(super) const ENTER: &str = "\x1b[?1049h\x1b[?25l";
pub(super) const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Answer(Duration),
    Late(Duration),
    /// Lost, corrupted or refused: how it is drawn.
    Not(char),
}

#[derive(Debug)]
pub(super) struct Plot {
    columns: Vec<(String, VecDeque<Column>)>,
    /// What was said last, below the graphs.
    note: Vec<String>,
    next: Instant,
    changed: bool,
    size: (usize, usize),
}

impl Plot {
    /// For a screen of so many columns and rows.
    pub(super) fn new(size: (usize, usize)) -> Self {
        Plot { columns: Vec::new(), note: Vec::new(), next: Instant::now(), changed: true, size }
    }

    pub(super) fn resize(&mut self, size: (usize, usize)) {
        (self.size, self.changed) = (size, true);
    }

    /// One thing that happened, and its line.
    pub(super) fn take(&mut self, target: &str, event: &Event, line: Option<&str>) {
        let column = match event {
            Event::Answer(answer) if answer.late => Column::Late(answer.time),
            Event::Answer(answer) => Column::Answer(answer.time),
            Event::Corrupted { .. } => Column::Not('!'),
            Event::Lost { .. } => Column::Not('x'),
            Event::Refused { .. } => Column::Not('r'),
            _ => {
                // The same again has no line, and leaves what was said first.
                if let Some(line) = line.and_then(|line| line.lines().last()) {
                    self.note(vec![line.into()]);
                }
                return;
            }
        };
        let known = self.columns.iter().position(|(name, _)| name == target);
        let index = known.unwrap_or_else(|| {
            self.columns.push((target.into(), VecDeque::new()));
            self.columns.len() - 1
        });
        if let Some((_, columns)) = self.columns.get_mut(index) {
            if columns.len() >= COLUMNS {
                columns.pop_front();
            }
            columns.push_back(column);
        }
        self.changed = true;
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
        let (width, height) = self.size;
        // One row is for notes even when there is none, so that the graphs keep their place.
        let above = height.saturating_sub(self.note.len().max(1));
        let band = (above / targets.len().max(1)).max(3);
        let mut rows = Vec::new();
        for target in targets {
            let none = VecDeque::new();
            let columns = self.columns.iter().find(|(name, _)| *name == target.name);
            let columns = columns.map_or(&none, |(_, columns)| columns);
            rows.push(title(target));
            rows.extend(graph(columns, width.saturating_sub(AXIS), band.saturating_sub(1)));
        }
        rows.truncate(above);
        rows.extend(self.note.iter().take(height).cloned());
        let mut screen = String::from("\x1b[H");
        for (index, row) in rows.iter().enumerate() {
            let row: String = row.chars().filter(|letter| is_plain(*letter)).take(width).collect();
            let end = if index + 1 < rows.len() { "\r\n" } else { "" };
            let _ = write!(screen, "{row}\x1b[K{end}");
        }
        screen.push_str("\x1b[J");
        Some(screen)
    }
}

fn title(target: &Target) -> String {
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
    format!("{}  {probes}, {loss}% loss{times}{again}", target.name)
}

/// Rows from the top, with their axis.
fn graph(columns: &VecDeque<Column>, width: usize, height: usize) -> Vec<String> {
    let shown: Vec<Column> =
        columns.iter().skip(columns.len().saturating_sub(width)).copied().collect();
    let times = shown.iter().filter_map(|column| match column {
        Column::Answer(time) | Column::Late(time) => Some(time.as_secs_f64().max(1e-9)),
        Column::Not(_) => None,
    });
    let (low, high) =
        times.fold((f64::MAX, f64::MIN), |(low, high), time| (low.min(time), high.max(time)));
    if height == 0 {
        return Vec::new();
    }
    let has_times = low <= high;
    // At least a factor of two, so that noise does not fill the screen.
    let (low, high) = if has_times { (low, high.max(low * 2.0)) } else { (1e-3, 2e-3) };
    let span = (high / low).ln();
    let level = |time: f64| {
        let share = (time / low).ln() / span * (height - 1) as f64;
        (share.round().max(0.0) as usize).min(height - 1)
    };
    let top = height - 1;
    (0..height)
        .rev()
        .map(|row| {
            let at = low * (span * row as f64 / top.max(1) as f64).exp();
            let label = if has_times { ms(Duration::from_secs_f64(at)) } else { String::new() };
            let line: String = shown
                .iter()
                .map(|column| match *column {
                    Column::Answer(time) if level(time.as_secs_f64()) == row => '*',
                    Column::Late(time) if level(time.as_secs_f64()) == row => 'L',
                    Column::Not(mark) if row == top => mark,
                    _ => ' ',
                })
                .collect();
            format!("{label:>7} |{}", line.trim_end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_has_its_column() {
        let us = Duration::from_micros;
        let columns =
            VecDeque::from([Column::Answer(us(100)), Column::Not('x'), Column::Late(us(10_000))]);
        let rows = graph(&columns, 71, 5);
        assert_eq!(rows.len(), 5);
        assert_eq!(rows[0], "   10.0 | xL");
        assert_eq!(rows[4], "  0.100 |*");
        assert!(rows[1..4].iter().all(|row| row.ends_with('|')), "{rows:?}");
    }

    #[test]
    fn no_screen_is_too_small() {
        let columns = VecDeque::from([Column::Answer(Duration::ZERO), Column::Not('!')]);
        for (width, height) in [(0, 0), (1, 1), (2, 2), (0, 9)] {
            assert_eq!(graph(&columns, width, height).len(), height);
        }
        assert_eq!(graph(&VecDeque::new(), 10, 3).len(), 3);
    }

    #[test]
    fn an_axis_without_times_has_no_numbers() {
        let columns = VecDeque::from([Column::Not('x'), Column::Not('r')]);
        assert_eq!(graph(&columns, 10, 2), ["        |xr", "        |"]);
    }
}
