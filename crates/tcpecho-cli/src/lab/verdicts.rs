//! The table of `lab test`, for people and for machines.

mod text;

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tcpecho_lab::{
    Exit, Family, Side,
    run::{Run, Verdict},
    trial::{Conduct, Fault},
};
use tcpecho_os::{
    errno::io_words,
    text::{printable, spaced},
};

use super::{
    expect::Expectations,
    junit::{self, Case, Problem},
    ladder::{GREEN, RED, YELLOW},
    programs::Invitation,
    report::begun,
    verdict::{BROKEN, INTERRUPTED, RIGHT, SKIPPED, word},
};
use crate::{exit, json_error};

/// Every verdict on one program.
#[derive(Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) role: String,
    pub(super) command: String,
    pub(super) right: usize,
    pub(super) of: usize,
    seconds: f64,
    pub(super) trials: Vec<Row>,
    /// Whether the trials are rows of the gallery.
    #[serde(default, skip_serializing_if = "is_false")]
    gallery: bool,
    /// The deadline of the gallery, if it is not the default.
    #[serde(skip)]
    deadline: Option<Duration>,
    /// The port, if it was given.
    #[serde(skip)]
    port: Option<u16>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A file that is larger is not a result.
const LARGEST: u64 = 64 << 20;

/// One trial over one protocol.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) family: String,
    pub(super) verdict: String,
    pub(super) expected: String,
    faults: Vec<String>,
    exit_status: Option<i32>,
    signal: Option<i32>,
    ended_by_lab: bool,
    noticed_ms: Option<f64>,
    connections: Option<usize>,
    lost_bytes: u64,
    leaked_descriptors: Option<usize>,
    zombies: Option<usize>,
    close_wait: Option<usize>,
    memory_growth_bytes: Option<u64>,
    said: Option<String>,
    last_output: Option<String>,
    last_error: Option<String>,
    notes: Vec<String>,
    failed: Vec<String>,
    /// What a correct client does in this row of the gallery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) correct_client: Option<String>,
    duration_ms: f64,
    #[serde(skip)]
    is_client: bool,
    #[serde(skip)]
    is_of_gallery: bool,
}

impl Row {
    fn new(run: &Run, expectations: &Expectations) -> Self {
        let name = run.text.name;
        let failed = match &run.verdict {
            Verdict::Failed(claims) => claims.clone(),
            Verdict::Broken(why) | Verdict::Skipped(why) => vec![why.clone()],
            Verdict::Held(_) | Verdict::Interrupted(_) => Vec::new(),
        };
        let took = run.moments().last().map_or(Duration::ZERO, |moment| moment.at);
        let conduct = run.conduct.clone().unwrap_or_default();
        Row::of(name, &run.family.to_string(), word(run), conduct, failed, took, expectations)
    }

    /// The verdict on a client at a row of the gallery.
    pub(super) fn of_gallery(
        name: &str,
        family: Family,
        verdict: &str,
        (conduct, failed): (Conduct, Vec<String>),
        took: Duration,
        expectations: &Expectations,
    ) -> Self {
        let family = family.to_string();
        let row = Row::of(name, &family, verdict, conduct, failed, took, expectations);
        Row { is_client: true, is_of_gallery: true, ..row }
    }

    fn of(
        name: &str,
        family: &str,
        verdict: &str,
        conduct: Conduct,
        failed: Vec<String>,
        took: Duration,
        expectations: &Expectations,
    ) -> Self {
        let (exit_status, signal) = match conduct.exit {
            Some(Exit::Exited(status)) => (Some(status), None),
            Some(Exit::Killed(signal)) => (None, Some(signal)),
            _ => (None, None),
        };
        let Conduct { lost_bytes, leaked_descriptors, zombies, close_wait, connections, .. } =
            conduct;
        Row {
            name: name.into(),
            is_client: false,
            is_of_gallery: false,
            family: family.into(),
            verdict: verdict.into(),
            expected: expectations.of(name).into(),
            faults: conduct.faults.iter().map(|fault| fault.word().into()).collect(),
            exit_status,
            signal,
            ended_by_lab: conduct.ended_by_lab,
            noticed_ms: conduct.noticed.map(milliseconds),
            connections,
            lost_bytes,
            leaked_descriptors,
            zombies,
            close_wait,
            memory_growth_bytes: conduct.memory_growth,
            said: conduct.said,
            last_output: conduct.last_output,
            last_error: conduct.last_error,
            notes: conduct.notes,
            failed,
            correct_client: None,
            duration_ms: milliseconds(took),
        }
    }

    fn case(&self) -> Case<'_> {
        let element = match self.verdict.as_str() {
            SKIPPED | INTERRUPTED => "skipped",
            _ if self.is_as_expected() => "",
            BROKEN => "error",
            _ => "failure",
        };
        let message = format!("{}: {}", self.verdict, self.remarks(200));
        let problem = Problem { element, kind: &self.verdict, message };
        Case {
            family: self.family.clone(),
            name: &self.name,
            seconds: self.duration_ms / 1000.0,
            problem: (!element.is_empty()).then_some(problem),
        }
    }

    pub(super) fn is_right(&self) -> bool {
        self.verdict == RIGHT
    }

    fn is_as_expected(&self) -> bool {
        self.verdict == self.expected
    }

    /// Its exit, in two words.
    pub(super) fn end(&self) -> String {
        match (self.exit_status, self.signal) {
            _ if self.ended_by_lab => "hung".into(),
            (Some(status), _) => format!("exit {status}"),
            (_, Some(13)) => "SIGPIPE".into(),
            (_, Some(15)) => "SIGTERM".into(),
            (_, Some(signal)) => format!("signal {signal}"),
            (None, None) => "-".into(),
        }
    }

    /// The time that it took to notice; in the gallery, to end.
    pub(super) fn noticed(&self) -> String {
        if self.is_of_gallery {
            return time_words(self.duration_ms);
        }
        self.noticed_ms.map_or("-".into(), time_words)
    }

    /// What is wrong, its last words, and other observations.
    pub(super) fn remarks(&self, said: usize) -> String {
        let mut remarks = Vec::new();
        if !self.is_as_expected() && self.expected != RIGHT {
            remarks.push(format!("expected: {}", self.expected));
        }
        if let Some(connections @ 2..) = self.connections {
            remarks.push(format!("connected {connections} times"));
        }
        remarks.extend(self.complaints());
        remarks.extend(self.notes.iter().cloned());
        if self.verdict != RIGHT {
            remarks.extend(self.correct_client.clone());
        }
        // What it says first after the event is what it noticed; advice may follow. A server's log is long, and
        // interesting only if something is wrong.
        if let Some(line) = self.said.as_ref().or(self.last_error.as_ref())
            && (self.is_client || self.verdict != RIGHT)
        {
            remarks.push(format!("stderr: {}", shortened(line, said)));
        }
        remarks.join("; ")
    }

    /// Its faults, the worst first, and the claims that failed without one.
    fn complaints(&self) -> Vec<String> {
        let label = match self.verdict.as_str() {
            SKIPPED => "SKIP",
            BROKEN => "BROKEN",
            _ => "FAILED",
        };
        let is_found = |fault: &Fault| self.faults.iter().any(|word| word == fault.word());
        let faults: Vec<Fault> =
            Fault::ALL.iter().map(|(fault, _)| *fault).filter(is_found).collect();
        let faults = faults.iter().rev().map(|fault| self.sentence(*fault));
        let explained = |claim: &&String| {
            let has = |fault: &String| {
                claim.contains(&format!("({fault}: ")) || claim.ends_with(&format!("({fault})"))
            };
            self.faults.iter().any(has)
        };
        let others = self.failed.iter().filter(|claim| !explained(claim)).cloned();
        faults.chain(others).map(|complaint| format!("{label}: {complaint}")).collect()
    }

    /// A fault in one sentence, with what was measured.
    fn sentence(&self, fault: Fault) -> String {
        let sentence = fault.sentence_for(self.side());
        let counted = |count: Option<usize>| {
            count.filter(|count| *count > 0).map(|count| format!("{sentence} ({count})"))
        };
        let measured = match fault {
            Fault::Late => {
                let event = self.failed.iter().find_map(|claim| {
                    let (_, event) = claim.split_once(" notices ")?;
                    Some(event.split_once(" without ")?.0.to_string())
                });
                let time = self.noticed_ms.map(|time| format!(" ({})", time_words(time)));
                let time = time.unwrap_or_default();
                event.map(|event| format!("noticed {event} only after more input{time}"))
            }
            Fault::Zombies => counted(self.zombies),
            Fault::Leaked => counted(self.leaked_descriptors),
            Fault::CloseWait => counted(self.close_wait),
            Fault::Lost if self.lost_bytes > 0 => {
                Some(format!("{sentence} ({} bytes)", self.lost_bytes))
            }
            Fault::Silent if !self.is_of_gallery => None,
            Fault::Killed => None,
            Fault::Died => match (self.exit_status, self.signal) {
                (Some(status), _) => Some(format!("exited with status {status}")),
                (None, Some(signal)) => Some(format!("was killed by {}", signal_words(signal))),
                (None, None) => None,
            },
            _ => {
                let note = format!("({}: ", fault.word());
                let seen = self.failed.iter().find_map(|claim| claim.split_once(&note));
                seen.map(|(_, seen)| {
                    let seen = seen.strip_suffix(')').unwrap_or(seen);
                    match fault {
                        Fault::Hung if self.is_of_gallery => seen.to_owned(),
                        Fault::Silent => format!("exited with status 0 although {seen}"),
                        _ => format!("{sentence}: {seen}"),
                    }
                })
            }
        };
        measured.unwrap_or_else(|| sentence.into())
    }

    fn side(&self) -> Side {
        if self.is_client { Side::Client } else { Side::Server }
    }

    /// Whether its last words say that a signal has interrupted a call.
    fn was_interrupted(&self) -> bool {
        let words = self.last_error.as_deref().unwrap_or_default();
        ["EINTR", "Interrupted system call", "interrupted system call", "InterruptedError"]
            .iter()
            .any(|sign| words.contains(sign))
    }

    fn colour(&self) -> &'static str {
        match self.verdict.as_str() {
            RIGHT => GREEN,
            SKIPPED | INTERRUPTED => YELLOW,
            _ => RED,
        }
    }
}

/// `SIGSEGV`, or the number of a signal without a name.
fn signal_words(number: i32) -> String {
    Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().into())
}

/// `3 ms`, `4.0 s`.
fn time_words(milliseconds: f64) -> String {
    if milliseconds < 1000.0 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{:.1} s", milliseconds / 1000.0)
    }
}

impl Table {
    pub(super) fn new(
        invitation: &Invitation,
        expectations: &Expectations,
        runs: &[Run],
        took: Duration,
        port: Option<u16>,
    ) -> Self {
        let row = |run: &Run| Row {
            is_client: invitation.role == Side::Client,
            ..Row::new(run, expectations)
        };
        let trials: Vec<Row> = begun(runs).map(row).collect();
        Table {
            role: invitation.role.word().into(),
            command: invitation.text.clone(),
            right: trials.iter().filter(|row| row.verdict == RIGHT).count(),
            of: runs.len(),
            seconds: (took.as_secs_f64() * 100.0).round() / 100.0,
            trials,
            gallery: false,
            deadline: None,
            port,
        }
    }

    /// The verdicts on a client at these rows of the gallery.
    pub(super) fn of_gallery(
        invitation: &Invitation,
        trials: Vec<Row>,
        of: Option<usize>,
        took: Duration,
        deadline: Option<Duration>,
    ) -> Self {
        let none = Table::new(invitation, &Expectations::default(), &[], took, None);
        let right = trials.iter().filter(|row| row.is_right()).count();
        let of = of.unwrap_or(trials.len());
        Table { right, of, trials, gallery: true, deadline, ..none }
    }

    /// Reads a result of `lab test --format json`.
    ///
    /// # Errors
    /// A sentence with the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let name = printable(&path.display().to_string()).into_owned();
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(LARGEST).read_to_string(&mut text))
            .map_err(|error| format!("{name}: {}", io_words(&error)))?;
        let mut table: Table = serde_json::from_str(&text).map_err(|error| {
            let why = json_error::sentence("a result of lab test --format json", &error);
            format!("{name}: {why}")
        })?;
        let is_client = table.role == Side::Client.word();
        for row in &mut table.trials {
            (row.is_client, row.is_of_gallery) = (is_client, table.gallery);
        }
        Ok(table)
    }

    /// The exit status: 0 all as expected, 1 one is not, 77 the lab could play none.
    pub(super) fn status(&self) -> u8 {
        if !self.trials.is_empty() && self.trials.iter().all(|row| row.verdict == SKIPPED) {
            exit::SKIPPED
        } else {
            u8::from(!self.trials.iter().all(Row::is_as_expected))
        }
    }

    pub(super) fn markdown(&self, out: &mut impl Write) -> io::Result<()> {
        let code = |text: &str| format!("`` {} ``", shortened(text, 200));
        writeln!(
            out,
            "{} as a {}: {} of {} right\n",
            code(&self.command),
            self.role,
            self.right,
            self.of
        )?;
        writeln!(
            out,
            "| trial | | verdict | {} | end | remarks |\n|---|---|---|---|---|---|",
            if self.gallery { "time" } else { "noticed after" }
        )?;
        for row in &self.trials {
            let verdict = if row.verdict == RIGHT {
                RIGHT.to_owned()
            } else {
                format!("**{}**", row.verdict)
            };
            writeln!(
                out,
                "| {} | {} | {verdict} | {} | {} | {} |",
                row.name,
                row.family,
                row.noticed(),
                row.end(),
                cell(&row.remarks(100))
            )?;
        }
        writeln!(out)
    }

    pub(super) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    pub(super) fn junit(&self, out: &mut impl Write) -> io::Result<()> {
        let gallery = if self.gallery { " --gallery" } else { "" };
        let suite = format!("lab test{gallery} --{} {}", self.role, self.command);
        let cases: Vec<Case> = self.trials.iter().map(Row::case).collect();
        junit::write(out, &suite, self.seconds, &cases)
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// Cleans a line of a program for display: no control characters, limited length.
pub(super) fn shortened(line: &str, longest: usize) -> String {
    let clean = spaced(line.trim());
    if clean.chars().count() <= longest {
        clean
    } else {
        clean.chars().take(longest - 1).chain(['…']).collect()
    }
}

/// Escapes text for a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_somebody_s_is_cut_to_its_length_and_has_no_control_characters() {
        for (line, wanted) in [
            ("", ""),
            (" 12345 ", "12345"),
            ("123456", "1234…"),
            ("äöüäöü", "äöüä…"),
            ("a\x1b[1mb", "a [1…"),
            ("a\tb", "a b"),
        ] {
            assert_eq!(shortened(line, 5), wanted, "{line:?}");
        }
    }
}
