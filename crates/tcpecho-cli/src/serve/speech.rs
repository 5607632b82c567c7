//! What a server says on standard error: a line for each session, trouble with accept, the counters, its end.
//!
//! Nothing that a peer sent ever stands in a line; what comes from outside is an address, a number, or a word of ours.

use std::{
    collections::BTreeMap,
    fmt::Write,
    io::{self, IsTerminal},
    os::fd::BorrowedFd,
    time::Duration,
};

use nix::sys::signal::Signal;
use rustix::io::Errno;
use serde::Serialize;
use tcpecho::{Error, Event, Fired, Report, Snapshot};
use tcpecho_os::errno::words;

use super::log_form::LogForm;
use crate::{
    exit,
    locale::shown,
    log::{Log, now},
    output::lost_as_text,
    tell::Failure,
    units::counted,
    width::{fitted, terminal_columns},
};

/// The server's voice.
#[derive(Clone)]
pub(super) struct Speech {
    form: LogForm,
    log: Log,
    is_terminal: bool,
    /// The row of the gallery that the lines are about.
    row: Option<&'static str>,
}

/// The counters of a server, or their sums for several.
#[derive(Default)]
pub(super) struct Counters {
    accepted: u64,
    active: u64,
    refused: u64,
    bytes: u64,
    accept_failures: u64,
    faults: u64,
    endings: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub(super) fn of(stats: &Snapshot) -> Self {
        Counters {
            accepted: stats.accepted,
            active: stats.active,
            refused: stats.refused,
            bytes: stats.bytes,
            accept_failures: stats.accept_failures,
            faults: stats.faults,
            endings: stats.endings.iter().map(|(ending, n)| (ending.word(), *n)).collect(),
        }
    }

    /// Whether nothing has happened.
    pub(super) fn is_zero(&self) -> bool {
        self.accepted == 0 && self.accept_failures == 0
    }

    pub(super) fn add(&mut self, other: Counters) {
        self.accepted += other.accepted;
        self.active += other.active;
        self.refused += other.refused;
        self.bytes += other.bytes;
        self.accept_failures += other.accept_failures;
        self.faults += other.faults;
        for (word, count) in other.endings {
            *self.endings.entry(word).or_default() += count;
        }
    }
}

/// A line of the JSON log.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'a> {
    Session {
        #[serde(skip_serializing_if = "Option::is_none")]
        row: Option<&'a str>,
        peer: String,
        ending: &'a str,
        bytes: u64,
        duration_us: u128,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<FaultLine>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        reset_requested: bool,
    },
    Fault {
        fault: &'a str,
        seed: u64,
    },
    FaultsCleared,
    AcceptFailing {
        #[serde(skip_serializing_if = "Option::is_none")]
        row: Option<&'a str>,
        error: String,
    },
    AcceptResumed {
        #[serde(skip_serializing_if = "Option::is_none")]
        row: Option<&'a str>,
        failures: u64,
        lasted_us: u128,
    },
    Counters {
        #[serde(skip_serializing_if = "Option::is_none")]
        row: Option<&'a str>,
        accepted: u64,
        active: u64,
        refused: u64,
        bytes: u64,
        accept_failures: u64,
        faults: u64,
        endings: BTreeMap<&'a str, u64>,
    },
    Draining {
        cause: &'a str,
        timeout_us: u128,
    },
    Closing {
        cause: &'a str,
        active: u64,
    },
    Warning {
        message: &'a str,
    },
    LinesLost {
        lines: u64,
    },
}

/// The fault of a session.
#[derive(Serialize)]
struct FaultLine {
    script: String,
    completed: usize,
    steps: usize,
    flips: Vec<FlipLine>,
    unexpected: bool,
}

#[derive(Serialize)]
struct FlipLine {
    byte: u64,
    bit: u8,
}

impl FaultLine {
    fn of(fired: &Fired) -> Self {
        let flip = |flip: &tcpecho::Flip| FlipLine { byte: flip.byte, bit: flip.bit };
        FaultLine {
            script: fired.script.to_string(),
            completed: fired.completed,
            steps: fired.script.steps().len(),
            flips: fired.flips.iter().map(flip).collect(),
            unexpected: fired.unexpected,
        }
    }
}

#[derive(Serialize)]
struct Stamped<'a> {
    time: String,
    #[serde(flatten)]
    line: Line<'a>,
}

impl Speech {
    pub(super) fn new(form: LogForm, log: Log) -> Self {
        Speech { form, log, is_terminal: io::stderr().is_terminal(), row: None }
    }

    /// The same voice for a row of the gallery, which its lines name.
    pub(super) fn of_row(&self, row: &'static str) -> Self {
        Speech { row: Some(row), ..self.clone() }
    }

    /// The row as words of a sentence.
    fn on_row(&self) -> String {
        self.row.map(|row| format!(" on the row {row}")).unwrap_or_default()
    }

    /// The row as a field after the name of the event.
    fn row_in_words(&self) -> String {
        self.row.map(|row| format!(" row={row}")).unwrap_or_default()
    }

    pub(super) fn event(&self, event: &Event<'_>) {
        match event {
            Event::Ended(report) => self.session(report),
            Event::AcceptFailing(errno) => self.accept_failing((*errno).into()),
            Event::AcceptResumed { failures, lasted } => {
                let (failures, lasted_us) = (*failures, lasted.as_micros());
                let row = self.row;
                self.write(Line::AcceptResumed { row, failures, lasted_us }, || {
                    format!(
                        "accept works again{} after {} in {}",
                        self.on_row(),
                        counted(failures, "failure", "failures"),
                        tcpecho::internal::show_duration(*lasted)
                    )
                });
            }
            _ => {}
        }
    }

    fn session(&self, report: &Report) {
        let (peer, ending, bytes) = (report.peer, report.ending.word(), report.bytes);
        let error = report.failure();
        let line = Line::Session {
            row: self.row,
            peer: peer.to_string(),
            ending,
            bytes,
            duration_us: report.duration.as_micros(),
            error: error.clone(),
            fault: report.fault.as_ref().map(FaultLine::of),
            id: report.id,
            reset_requested: report.reset,
        };
        self.write(line, || {
            let seconds = report.duration.as_secs_f64();
            let row = self.row_in_words();
            let mut text = format!(
                "session{row} peer={peer} ending={ending} bytes={bytes} duration={seconds:.6}s"
            );
            if let Some(error) = error {
                let _ = write!(text, " error=\"{error}\"");
            }
            if let Some(fired) = &report.fault {
                text.push_str(&fault_in_words(fired));
            }
            if let Some(id) = report.id {
                let _ = write!(text, " id={id}");
            }
            if report.reset {
                text.push_str(" reset=requested");
            }
            text
        });
    }

    /// What is armed: at the start, or because control asked for it.
    pub(super) fn fault(&self, fault: &str, seed: u64) {
        self.write(Line::Fault { fault, seed }, || format!("fault={fault:?} seed={seed}"));
    }

    /// Control has removed the faults.
    pub(super) fn no_fault(&self) {
        self.write(Line::FaultsCleared, || "fault=none".into());
    }

    fn accept_failing(&self, errno: Errno) {
        let error = words(errno);
        let row = self.row;
        self.write(Line::AcceptFailing { row, error: error.clone() }, || {
            let on_row = self.on_row();
            format!(
                "accept fails{on_row}: {error}; new clients wait in the queue until it works again"
            )
        });
    }

    pub(super) fn counters(&self, counters: &Counters) {
        let Counters { accepted, active, refused, bytes, accept_failures, faults, ref endings } =
            *counters;
        let mut text = format!(
            "counters{} accepted={accepted} active={active} refused={refused} bytes={bytes} accept-failures={accept_failures}",
            self.row_in_words()
        );
        if faults > 0 {
            let _ = write!(text, " faults={faults}");
        }
        for (word, count) in endings {
            let _ = write!(text, " {word}={count}");
        }
        let (row, endings) = (self.row, endings.clone());
        self.write(
            Line::Counters {
                row,
                accepted,
                active,
                refused,
                bytes,
                accept_failures,
                faults,
                endings,
            },
            || text,
        );
    }

    pub(super) fn draining(&self, cause: &str, timeout: Duration) {
        self.leave_line(cause);
        self.write(Line::Draining { cause, timeout_us: timeout.as_micros() }, || {
            format!(
                "draining because of {cause}, for {} at most",
                tcpecho::internal::show_duration(timeout)
            )
        });
    }

    pub(super) fn closing(&self, cause: &str, active: u64) {
        self.leave_line(cause);
        self.write(Line::Closing { cause, active }, || {
            format!("closing {} because of {cause}", counted(active, "connection", "connections"))
        });
    }

    /// Ends the line in which the terminal shows ^C.
    fn leave_line(&self, cause: &str) {
        if cause == Signal::SIGINT.as_str() && self.is_terminal && self.form != LogForm::Off {
            self.log.line("");
        }
    }

    /// Said whatever the form of the log.
    pub(super) fn note(&self, message: &str) {
        match self.form {
            LogForm::Json => self.warn(message),
            _ => self.say(&format!("tcpecho: {message}")),
        }
    }

    pub(super) fn warn(&self, message: &str) {
        self.write(Line::Warning { message }, || format!("warning: {message}"));
    }

    /// Said whatever the form of the log.
    pub(super) fn failed(&self, error: &Error) {
        let failure = Failure::of_server(error);
        match self.form {
            LogForm::Json => self.log.line(&failure.log_line(exit::NOT_POSSIBLE)),
            _ => self.say(&format!("tcpecho: {}", failure.words())),
        }
    }

    pub(super) fn flush(&self, patience: Duration) {
        self.log.flush(patience);
    }

    fn write(&self, line: Line<'_>, text: impl FnOnce() -> String) {
        match self.form {
            LogForm::Off => {}
            LogForm::Text => {
                self.say(&format!("{} {}", now(), shown(&text(), &io::stderr())));
            }
            LogForm::Json => self.log.line(&line.json()),
        }
    }

    /// Writes a line of text. A terminal gets it wrapped at words, a file or a pipe as one line.
    fn say(&self, line: &str) {
        let width = self.is_terminal.then(|| terminal_columns(&io::stderr())).flatten();
        self.log.line(&fitted(line, width));
    }
}

/// The script as it was written, with quotation marks and what cannot be printed escaped; how far it came.
fn fault_in_words(fired: &Fired) -> String {
    let (script, all) = (fired.script.to_string(), fired.script.steps().len());
    let mut text = format!(" fault={script:?} steps={}/{all}", fired.completed);
    for (n, flip) in fired.flips.iter().enumerate() {
        let _ = write!(text, "{}{flip}", if n == 0 { " flips=" } else { "," });
    }
    if fired.unexpected {
        text.push_str(" unexpected");
    }
    text
}

impl LogForm {
    /// Where lines of this form go.
    pub(super) fn log(self, fd: BorrowedFd<'static>) -> Log {
        match self {
            LogForm::Json => Log::telling(fd, |lines| Line::LinesLost { lines }.json()),
            LogForm::Text | LogForm::Off => Log::telling(fd, lost_as_text),
        }
    }
}

impl Line<'_> {
    fn json(self) -> String {
        let stamped = Stamped { time: now().to_string(), line: self };
        // Strings and numbers are always JSON.
        serde_json::to_string(&stamped).unwrap_or_default()
    }
}
