//! Prints a sweep: its steps, and what it found.

use std::{
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::event::PollFlags;
use serde::Serialize;
use tcpecho::Attempt;
use tcpecho_probe::{
    Broken, Command, Control, Destination, Finding, ProbeResult, Seen, Step, Stop, Sweep,
    SweepObserver, Sweeper, Swept, Tried,
};

use super::{
    args::{OutputFormat, Plan},
    json,
};
use crate::{
    exit,
    output::{OutputBuffer, Unwritten},
    signals::Signals,
    tell::{ErrorObject, Meaning, explain},
    units::{counted, ms},
    width::{fitted, stdout_columns},
};

/// Sweeps one target after the other. The exit status: 0 no limit was found, 1 one was.
pub(super) fn run(
    plan: &Plan,
    sweep: Sweep,
    probing: &tcpecho_probe::Plan,
    targets: Vec<Destination>,
    signals: &Signals,
    output: &mut OutputBuffer,
) -> u8 {
    let start = Instant::now();
    let sweeper = Sweeper::new(probing, sweep);
    let mut status = 0;
    for Destination { name, addrs, .. } in targets {
        let format = plan.format;
        let mut writer =
            Writer { target: &name, sweep, format, output, signals, written: Ok(()), signal: None };
        let swept = sweeper.run(addrs, &mut writer);
        let this = exit_status(&swept, writer.signal);
        status = status.max(this);
        writer.end(&swept, start.elapsed(), this);
        match (writer.written, writer.signal) {
            (Ok(()), Some(Signal::SIGPIPE)) | (Err(Unwritten::ReaderLeft), _) => return 0,
            (Ok(()), _) => {}
            (Err(why), _) => return why.status(status),
        }
        if matches!(swept.stop, Some(Stop::Caller | Stop::Deadline | Stop::Failed(..))) {
            return status;
        }
    }
    status
}

fn exit_status(swept: &Swept, signal: Option<Signal>) -> u8 {
    match (&swept.stop, &swept.finding) {
        (Some(Stop::Caller), _) => signal.map_or(1, exit::interrupted_by),
        (Some(Stop::Failed(..)), _) => exit::NOT_POSSIBLE,
        (Some(Stop::Deadline | Stop::Unconnected(_)), _) => 1,
        (None, Some(Finding::Idle { dead: None, .. } | Finding::Size { fails: None, .. })) => 0,
        (None, _) => 1,
    }
}

/// What a sweep that ended early had proven by then.
fn so_far(finding: &Finding) -> String {
    match finding {
        Finding::Size { passes, fails: Some(fails), .. } => {
            let passes = counted(*passes, "byte", "bytes");
            format!("{passes} pass, {} do not", counted(*fails, "byte", "bytes"))
        }
        _ => sentence(finding),
    }
}

fn sentence(finding: &Finding) -> String {
    match finding {
        Finding::Idle { alive, dead: None, .. } => {
            format!("an idle connection is alive after {} ms, the longest tried", ms(*alive))
        }
        Finding::Idle { alive, dead: Some(dead), how } => {
            let how = how.unwrap_or("silent");
            let (alive, dead) = (ms(*alive), ms(*dead));
            if alive == dead {
                return format!("an idle connection is ended by {how} after {dead} ms");
            }
            format!("an idle connection is alive after {alive} ms and dead after {dead} ms: {how}")
        }
        Finding::Size { passes, fails: None, .. } => {
            format!("{} pass, the most tried", counted(*passes, "byte", "bytes"))
        }
        Finding::Size { passes, fails: Some(_), acknowledged, overhead } => {
            let packet = overhead.map(|overhead| {
                format!(" (in one packet of {} bytes)", passes + u64::from(overhead))
            });
            let way = match acknowledged {
                Some(true) => ": longer probes are acknowledged, but not echoed",
                Some(false) => ": longer probes are not acknowledged",
                None => "",
            };
            let passes = counted(*passes, "byte", "bytes");
            format!("at most {passes} pass{}{way}", packet.unwrap_or_default())
        }
        Finding::Dead(result) => format!("cannot search for a limit: {}", words(result)),
    }
}

/// What was seen of a probe that did not come back.
fn words(result: &ProbeResult) -> String {
    match result {
        ProbeResult::Answered { time, .. } => format!("it came back in {} ms", ms(*time)),
        ProbeResult::Changed => "the answer differs from the probe".into(),
        ProbeResult::Ended(broken) => format!("{}: {}", broken.ending(), broken.seen()),
        ProbeResult::Silence { acknowledged, retransmits } => {
            let heard = match acknowledged {
                Some(true) => ", but acknowledged",
                Some(false) => ", not acknowledged",
                None => "",
            };
            format!("no answer{heard}; retrans={retransmits}")
        }
    }
}

/// What was seen in a step.
fn step_words(step: &Step<'_>) -> String {
    match (step.tried, &step.seen) {
        (_, Seen::EndedIdle { after, broken }) => {
            let (ending, op, said) = (broken.ending(), broken.op, broken.said());
            format!("{ending} after {} ms: {op}: {said}", ms(*after))
        }
        (Tried::Idle(_), Seen::Probe(ProbeResult::Answered { time, .. })) => {
            format!("alive, time={} ms", ms(*time))
        }
        (Tried::Idle(_), Seen::Probe(result)) => format!("dead: {}", words(result)),
        (Tried::Size(_), Seen::Probe(ProbeResult::Answered { time, retransmits })) => {
            let again = match retransmits {
                0 => String::new(),
                count => {
                    let count = counted(u64::from(*count), "retransmit", "retransmits");
                    format!(" after {count}")
                }
            };
            format!("passes, time={} ms{again}", ms(*time))
        }
        (Tried::Size(_), Seen::Probe(result)) => format!("does not pass: {}", words(result)),
    }
}

/// Writes the steps and the end of the sweep of one target.
struct Writer<'a> {
    target: &'a str,
    sweep: Sweep,
    format: OutputFormat,
    output: &'a mut OutputBuffer,
    signals: &'a Signals,
    /// Whether all lines have been written.
    written: Result<(), Unwritten>,
    /// The signal that ended the sweep.
    signal: Option<Signal>,
}

impl Control for Writer<'_> {
    fn watched(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        vec![(self.signals.as_fd(), PollFlags::IN)]
    }

    fn on_ready(&mut self, _: &[bool]) {}

    fn next_command(&mut self) -> Option<Command> {
        loop {
            match self.signals.next()? {
                Signal::SIGQUIT | Signal::SIGWINCH | Signal::SIGCONT => {}
                Signal::SIGTSTP => return Some(Command::Suspend),
                signal => {
                    self.signal = Some(signal);
                    return Some(Command::Stop);
                }
            }
        }
    }

    fn suspend(&mut self) -> bool {
        Signals::suspend().is_ok()
    }
}

impl SweepObserver for Writer<'_> {
    fn step(&mut self, step: &Step<'_>) -> ControlFlow<()> {
        self.write_step(step);
        // It came while the step was written.
        self.signal = self.signal.or_else(|| self.signals.take_back());
        if self.written.is_ok() && self.signal.is_none() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

impl<'a> Writer<'a> {
    fn write_step(&mut self, step: &Step<'_>) {
        let words = step_words(step);
        let what = match step.tried {
            Tried::Idle(span) => format!("idle {} ms", ms(span)),
            Tried::Size(bytes) => counted(bytes, "byte", "bytes"),
        };
        match self.format {
            OutputFormat::Lines => {
                self.text(&format!("{}: {what}: {words}", self.target));
            }
            OutputFormat::JsonStream => {
                let (idle_us, size_bytes) = match step.tried {
                    Tried::Idle(span) => {
                        (Some(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)), None)
                    }
                    Tried::Size(bytes) => (None, Some(bytes)),
                };
                let (event, target, holds) = ("step", self.target, step.holds);
                let row = StepRow { event, target, idle_us, size_bytes, holds, message: &words };
                self.line(&json::object(&row));
            }
            _ => {}
        }
    }

    fn end(&mut self, swept: &Swept, spent: Duration, exit_status: u8) {
        if let Some(Finding::Dead(ProbeResult::Ended(broken))) = &swept.finding {
            explain(&broken.diagnosis);
        }
        let early = match &swept.stop {
            None => None,
            Some(Stop::Caller) => match self.signal {
                Some(signal) => Some(format!("interrupted ({})", signal.as_str())),
                // Stdout takes nothing any more.
                None => return,
            },
            Some(Stop::Deadline) => Some("the deadline came first".into()),
            Some(Stop::Unconnected(failures)) => {
                for failure in failures {
                    explain(&failure.diagnosis);
                }
                Some("could not connect".into())
            }
            Some(Stop::Failed(op, errno)) => {
                Some(format!("{op}: {}", tcpecho_os::errno::words(*errno)))
            }
        };
        let message = match (early, &swept.finding) {
            (None, Some(finding)) => sentence(finding),
            (None, None) => "nothing was tried".into(),
            (Some(early), Some(finding)) => format!("{early}; so far: {}", so_far(finding)),
            (Some(early), None) => early,
        };
        match self.format {
            OutputFormat::Json | OutputFormat::JsonStream => {
                let row = self.row(swept, &message, spent, exit_status);
                self.line(&json::object(&row));
            }
            _ => self.text(&format!("{}: {message}", self.target)),
        }
    }

    fn row<'r>(
        &self,
        swept: &'r Swept,
        message: &'r str,
        spent: Duration,
        exit_status: u8,
    ) -> FindingRow<'r>
    where
        'a: 'r,
    {
        let mut row = FindingRow {
            event: "sweep",
            target: self.target,
            sweep: match self.sweep {
                Sweep::Idle(_) => "idle",
                Sweep::Size(_) => "size",
            },
            alive_us: None,
            dead_us: None,
            how: None,
            passes_bytes: None,
            fails_bytes: None,
            acknowledged: None,
            packet_bytes: None,
            error: None,
            diagnosis: None,
            interrupted_by: None,
            message,
            duration_us: json::us(spent),
            exit_status,
        };
        match &swept.finding {
            Some(Finding::Idle { alive, dead, how }) => {
                (row.alive_us, row.dead_us) = (Some(json::us(*alive)), dead.map(json::us));
                row.how = *how;
            }
            Some(Finding::Size { passes, fails, acknowledged, overhead }) => {
                (row.passes_bytes, row.fails_bytes) = (Some(*passes), *fails);
                row.acknowledged = *acknowledged;
                row.packet_bytes = overhead.map(|overhead| passes + u64::from(overhead));
            }
            Some(Finding::Dead(ProbeResult::Ended(broken))) => {
                let Broken { op, peer, errno, diagnosis, .. } = broken;
                row.error = Some(ErrorObject::of_diagnosis(op, Some(*peer), *errno, diagnosis));
                row.diagnosis = Some(Meaning::of(diagnosis));
            }
            _ => {}
        }
        match &swept.stop {
            Some(Stop::Caller) => row.interrupted_by = self.signal.map(Signal::as_str),
            Some(Stop::Deadline) => row.interrupted_by = Some("deadline"),
            Some(Stop::Unconnected(failures)) => {
                if let Some(Attempt { error, diagnosis, .. }) = Attempt::most_informative(failures)
                {
                    let (op, addr, errno) = (error.op, error.addr, Some(error.source.into()));
                    row.error = Some(ErrorObject::of_diagnosis(op, addr, errno, diagnosis));
                    row.diagnosis = Some(Meaning::of(diagnosis));
                }
            }
            _ => {}
        }
        row
    }

    /// Writes a line that fits the terminal.
    fn text(&mut self, line: &str) {
        self.line(&fitted(line, stdout_columns()));
    }

    /// A sweep has time: nobody's answer waits while it is written.
    fn line(&mut self, text: &str) {
        if self.written.is_ok() {
            self.output.report_line(text);
            self.written = self.output.finish(Some(self.signals));
        }
    }
}

#[derive(Serialize)]
struct StepRow<'a> {
    event: &'static str,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    holds: bool,
    message: &'a str,
}

#[derive(Serialize)]
struct FindingRow<'a> {
    event: &'static str,
    target: &'a str,
    sweep: &'static str,
    alive_us: Option<f64>,
    dead_us: Option<f64>,
    how: Option<&'static str>,
    passes_bytes: Option<u64>,
    fails_bytes: Option<u64>,
    acknowledged: Option<bool>,
    packet_bytes: Option<u64>,
    /// Why nothing could be looked for.
    error: Option<ErrorObject<'a>>,
    diagnosis: Option<Meaning<'a>>,
    /// The signal that ended it early, or `deadline`.
    interrupted_by: Option<&'static str>,
    message: &'a str,
    duration_us: f64,
    exit_status: u8,
}
