//! Who writes down what happens, in the format that was asked for.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use rustix::termios::tcgetwinsize;
use tcpecho::Diagnosis;
use tcpecho_probe::{Event, Outcome, Pause, Target};

use super::{
    args::{OutputFormat, Plan},
    histogram, json,
    lines::Lines,
    plot::{ENTER, LEAVE, Plot, Screen},
    summary,
};
use crate::{
    locale::is_ascii,
    output::OutputBuffer,
    tell::{Colour, explain, has_colour, has_cursor_control, say, say_raw},
    units::{counted, ms, span},
    width::{fitted, folded, stdout_columns},
};

/// Explanations that are held back while a plot has the screen.
const HELD_BACK: usize = 16;

pub(super) struct Printer<'a> {
    plan: &'a Plan,
    lines: Lines,
    colour: Colour,
    /// Dots can be taken back.
    terminal: bool,
    /// Dots that stand.
    dots: u64,
    plot: Option<Plot>,
    /// The cases that have been explained, by target.
    explained: Vec<(String, &'static str)>,
    /// To be explained once the screen is free.
    held_back: Vec<Diagnosis>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(plan: &'a Plan, targets: usize, output: &mut OutputBuffer) -> Self {
        let lines = Lines {
            mode: plan.mode,
            size: plan.size,
            timeout: plan.timeout,
            date: plan.date,
            many: targets > 1,
            // A plot fits them itself.
            width: stdout_columns().filter(|_| plan.format != OutputFormat::Plot),
        };
        let plot = (plan.format == OutputFormat::Plot).then(|| {
            output.raw(ENTER);
            Plot::new(screen())
        });
        Printer {
            plan,
            lines,
            colour: Colour::of(&io::stdout()),
            terminal: has_cursor_control(&io::stdout()),
            dots: 0,
            plot,
            explained: Vec::new(),
            held_back: Vec::new(),
        }
    }

    /// This program itself did not run for so long: what was under way has no time.
    pub(super) fn paused(&mut self, pause: Pause, output: &mut OutputBuffer) {
        let words = format!("{}: probes under way are not timed", pause_words(pause));
        match self.plan.format {
            OutputFormat::Lines => output.line(&self.lines.dated(&words)),
            OutputFormat::JsonStream => output.line(&json::paused(pause.length(), &words)),
            OutputFormat::Plot => {
                if let Some(plot) = &mut self.plot {
                    plot.note(vec![words]);
                }
            }
            OutputFormat::Quiet
            | OutputFormat::Dots
            | OutputFormat::Silent
            | OutputFormat::Json => {}
        }
    }

    /// Gives the terminal back while this program is stopped.
    pub(super) fn leave_screen(&self, output: &mut OutputBuffer) {
        if self.plot.is_some() {
            output.report(LEAVE);
        }
    }

    /// Takes the screen again, all of it.
    pub(super) fn enter_screen(&mut self, output: &mut OutputBuffer) {
        if self.plot.is_some() {
            output.report(ENTER);
            self.resized();
        }
    }

    /// One thing that happened.
    pub(super) fn tell(&mut self, target: &str, event: &Event, output: &mut OutputBuffer) {
        self.explain(target, event);
        let first = matches!(event, Event::Connected(connected) if !connected.again);
        match self.plan.format {
            OutputFormat::Quiet | OutputFormat::Dots if !first => {}
            OutputFormat::Lines | OutputFormat::Quiet | OutputFormat::Dots => {
                if let Some(line) = self.lines.of(target, event) {
                    output.line(&if is_bad(event) { self.colour.bad(&line) } else { line });
                }
            }
            OutputFormat::JsonStream => output.line(&json::event(target, event)),
            OutputFormat::Plot => {
                let line = self.lines.of(target, event);
                if let Some(plot) = &mut self.plot {
                    plot.take(target, event, line.as_deref());
                }
            }
            OutputFormat::Silent | OutputFormat::Json => {}
        }
    }

    /// What broke, on standard error, in three parts: what was seen, what it means, what to try. Once for each
    /// case: later ones have their line.
    fn explain(&mut self, target: &str, event: &Event) {
        if self.plan.format == OutputFormat::Silent {
            return;
        }
        let told = match event {
            Event::Broken(broken) => vec![&*broken.diagnosis],
            Event::Unanswered(cause) => vec![&cause.diagnosis],
            Event::Unresolved(diagnosis) => vec![&**diagnosis],
            Event::Unconnected { failures, .. } => {
                failures.iter().map(|failure| &failure.diagnosis).collect()
            }
            _ => return,
        };
        for diagnosis in told {
            let Diagnosis { case, .. } = diagnosis;
            let known = self.explained.iter().any(|(name, word)| name == target && word == case);
            if known {
                continue;
            }
            self.explained.push((target.into(), case));
            match self.plot {
                None => explain(diagnosis),
                Some(_) if self.held_back.len() < HELD_BACK => {
                    self.held_back.push(diagnosis.clone());
                }
                Some(_) => {}
            }
        }
    }

    /// What the screen shows of all that has happened; as ping -f, a dot stands for each probe that is not answered.
    pub(super) fn redraw(&mut self, targets: &[Target], now: Instant, output: &mut OutputBuffer) {
        if let Some(screen) = self.plot.as_mut().and_then(|plot| plot.draw(targets, now)) {
            output.raw(&screen);
        }
        if self.plan.format != OutputFormat::Dots || !self.terminal {
            return;
        }
        let open = |target: &Target| target.stats.transmitted - target.stats.received();
        let open = targets.iter().map(open).sum();
        while self.dots < open {
            output.raw(".");
            self.dots += 1;
        }
        while self.dots > open {
            output.raw("\u{8} \u{8}");
            self.dots -= 1;
        }
    }

    pub(super) fn next_drawing(&self) -> Option<Instant> {
        self.plot.as_ref().and_then(Plot::due)
    }

    pub(super) fn resized(&mut self) {
        match &mut self.plot {
            Some(plot) => plot.resize(screen()),
            None => self.lines.width = stdout_columns(),
        }
    }

    /// The summary so far, on stderr. A plot has the whole terminal, and shows it below the graphs.
    pub(super) fn interim(&mut self, targets: &[Target]) {
        let lines: Vec<String> =
            targets.iter().flat_map(|target| summary::lines(target, self.plan.mode)).collect();
        if self.plot.is_none() || !io::stderr().is_terminal() {
            if io::stderr().is_terminal() {
                // The terminal shows ^\ in this line.
                say_raw("\n");
            }
            for line in &lines {
                say(line);
            }
        }
        if let Some(plot) = &mut self.plot {
            plot.note(lines);
        }
    }

    /// How it went, at the end.
    pub(super) fn summary(
        &mut self,
        outcome: &Outcome,
        unresolved: &[(String, Diagnosis)],
        spent: Duration,
        exit_status: u8,
        output: &mut OutputBuffer,
    ) {
        if self.plot.take().is_some() {
            output.report(LEAVE);
        }
        let in_stream = self.plan.format == OutputFormat::JsonStream;
        match self.plan.format {
            OutputFormat::Silent => {}
            OutputFormat::Json | OutputFormat::JsonStream => {
                let report =
                    json::report(outcome, unresolved, self.plan, spent, exit_status, in_stream);
                output.report_line(&report);
            }
            OutputFormat::Lines | OutputFormat::Quiet | OutputFormat::Dots | OutputFormat::Plot => {
                for target in &outcome.targets {
                    self.summary_of(target, output);
                }
                for (name, diagnosis) in unresolved {
                    output.report_line("");
                    for line in summary::unresolved_lines(name, diagnosis) {
                        output.report_line(&fitted(&line, stdout_columns()));
                    }
                }
                if outcome.pauses > 0 {
                    let (count, all) =
                        (counted(outcome.pauses, "pause", "pauses"), ms(outcome.paused));
                    let line =
                        format!("this program itself did not run for {all} ms in all, in {count}");
                    output.report_line(&fitted(&line, stdout_columns()));
                }
            }
        }
    }

    fn summary_of(&self, target: &Target, output: &mut OutputBuffer) {
        output.report_line("");
        let width = stdout_columns();
        for line in summary::lines(target, self.plan.mode) {
            output.report_line(&folded(line.split_inclusive(", ").map(str::trim_end), width));
        }
        if self.plan.histogram {
            output.report(&histogram::of(&target.stats.time));
        }
    }

    /// What could not be explained while a plot had the screen.
    pub(super) fn explain_rest(&mut self) {
        for diagnosis in self.held_back.drain(..) {
            explain(&diagnosis);
        }
    }
}

/// Whether a probe was lost or damaged, or a connection.
fn is_bad(event: &Event) -> bool {
    !matches!(event, Event::Connected(_) | Event::Answer(_) | Event::Unresolved(_))
}

/// What is said of a pause.
fn pause_words(pause: Pause) -> String {
    let length = span(pause.length());
    match pause {
        Pause::Noticed(pause) if pause.suspended >= pause.stopped => {
            format!("this machine was suspended for {length}")
        }
        Pause::Noticed(_) => {
            format!("this program did not run for {length} (stopped, or no processor was free)")
        }
        Pause::Suspended(_) => format!("this program was stopped for {length}"),
        Pause::Stopped(_) => format!("this program was stopped, for {length} at most"),
    }
}

/// What the terminal can show; one that does not tell its size is an old one.
fn screen() -> Screen {
    let stdout = io::stdout();
    let (columns, rows) = match tcgetwinsize(&stdout) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    };
    let (ascii, has_colour) = (is_ascii(&stdout), has_colour(&stdout));
    Screen { columns, rows, ascii, has_colour }
}
