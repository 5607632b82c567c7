//! One line on the terminal that changes while the run goes on; nothing where there is no terminal
//! or one that cannot erase a line (`TERM=dumb`).

use std::{
    io::{self, Write},
    time::Duration,
};

use tcpecho_load::Event;

use super::report::Row;
use crate::{
    locale::shown,
    tell::has_cursor_control,
    units::{count, rate, time},
    width::stderr_columns,
};

pub(super) struct Progress {
    shown: bool,
    length: Option<Duration>,
    /// What stands before the line: the server's name and the round in a comparison.
    label: String,
    figures: String,
    errors: u64,
    dirty: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool, length: Option<Duration>) -> Self {
        let shown = !quiet && has_cursor_control(&io::stderr());
        let (label, figures) = (String::new(), String::new());
        Self { shown, length, label, figures, errors: 0, dirty: false }
    }

    pub(super) fn label(&mut self, label: String) {
        self.label = label;
        self.figures.clear();
        self.errors = 0;
    }

    /// Takes note of what happened; `row` are the latest figures.
    pub(super) fn see(&mut self, event: &Event, row: Option<&Row>, unit: &str) {
        if !self.shown {
            return;
        }
        if let (Event::Interval(_), Some(row)) = (event, row) {
            self.errors += row.errors.unwrap_or_default();
            let p99 =
                row.p99_ns.map_or_else(String::new, |ns| format!("  p99 {}", time(ns as f64)));
            self.figures = format!("{} {unit}{p99}", rate(row.throughput_per_s));
        }
        match event {
            Event::Tick(at) => self.draw(*at),
            Event::End => self.clear(),
            _ => {}
        }
    }

    fn draw(&mut self, at: i64) {
        let when = match (at, self.length) {
            (i64::MIN, _) => "connecting".to_owned(),
            (at, _) if at < 0 => "warming up".to_owned(),
            (at, None) => format!("{:.1} s", at as f64 / 1e9),
            (at, Some(length)) => {
                let left = (length.as_secs_f64() - at as f64 / 1e9).max(0.0);
                format!("{left:.1} s left")
            }
        };
        let errors = count(self.errors);
        let line = [&self.label, &self.figures, &format!("{errors} errors"), &when];
        let line: Vec<&str> =
            line.iter().map(|part| part.as_str()).filter(|p| !p.is_empty()).collect();
        // A line that is too long for the terminal could not be taken away.
        let width = stderr_columns().unwrap_or(usize::MAX) - 1;
        let line: String = line.join("  ").chars().take(width).collect();
        self.write(&format!("\r{line}\x1b[K"));
        self.dirty = true;
    }

    /// Takes the line away, before something else is said.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.write("\r\x1b[K");
        }
    }

    fn write(&self, text: &str) {
        if self.shown {
            // A terminal that is gone misses nothing.
            let mut stderr = io::stderr();
            let text = shown(text, &stderr);
            let _ = stderr.write_all(text.as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
