//! What a command prints on a terminal of a certain width, or into a pipe, and files that have what is expected.
#![allow(dead_code, reason = "every test program uses its own part of it")]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use unicode_width::UnicodeWidthStr;

/// Widths of terminals, in columns.
pub(crate) const WIDTHS: [usize; 3] = [120, 80, 60];

/// Where output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A terminal of so many columns.
    Terminal(usize),
    Pipe,
}

pub(crate) const PLACES: [Place; 4] =
    [Place::Terminal(120), Place::Terminal(80), Place::Terminal(60), Place::Pipe];

impl Place {
    /// A part of a file's name.
    pub(crate) fn name(self) -> String {
        match self {
            Place::Terminal(columns) => columns.to_string(),
            Place::Pipe => "pipe".into(),
        }
    }

    /// Returns a command that runs a shell's line here, with stdout and stderr together.
    pub(crate) fn command(self, line: &str) -> Command {
        let mut command = match self {
            Place::Terminal(columns) => {
                let mut script = Command::new("script");
                let line = format!("stty cols {columns} rows 40 && {line}");
                script.args(["-qec", &line, "/dev/null"]);
                script
            }
            Place::Pipe => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("exec 2>&1; {line}")]);
                shell
            }
        };
        let folder = Path::new(env!("CARGO_BIN_EXE_tcpecho")).parent().unwrap().display();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).env("TERM", "xterm").env("SHELL", "/bin/sh");
        command.env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").env_remove("COLUMNS");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Returns all that a shell's line prints here; prints SKIP and returns nothing without script(1).
    pub(crate) fn shows(self, line: &str) -> Option<String> {
        let Ok(output) = self.command(line).output() else {
            println!("SKIP: no script(1)");
            return None;
        };
        Some(String::from_utf8(output.stdout).unwrap())
    }

    /// Checks what every text has to be: on a terminal, lines that are not too wide; in a pipe, no escape sequence.
    pub(crate) fn check(self, text: &str) {
        match self {
            Place::Pipe => assert!(!text.contains(['\x1b', '\r']), "{text:?}"),
            Place::Terminal(columns) => fits(columns, &without_escapes(text)),
        }
        for line in settled(text).lines() {
            assert_eq!(line, line.trim_end(), "{self:?}: blanks at the end of a line:\n{text}");
        }
    }
}

/// Returns a text without the escape sequences of a terminal.
pub(crate) fn without_escapes(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest);
    }
    plain
}

/// Returns what stands on a terminal in the end: of a line that is written anew, the last text.
pub(crate) fn settled(text: &str) -> String {
    let text = without_escapes(text).replace("\r\n", "\n");
    let last = |line: &str| line.rsplit('\r').next().unwrap_or_default().to_owned() + "\n";
    text.lines().map(last).collect()
}

/// Asserts that no line is wider than the terminal.
pub(crate) fn fits(columns: usize, shown: &str) {
    for line in shown.split(['\n', '\r']) {
        let width = line.width();
        assert!(width <= columns, "{width} of {columns} columns: {line}");
    }
}

/// Returns the paragraphs of a text: an indented line continues the line before.
pub(crate) fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    for line in text.lines() {
        match paragraphs.last_mut() {
            Some(last) if line.starts_with("  ") && !last.is_empty() => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            _ => paragraphs.push(line.to_owned()),
        }
    }
    paragraphs
}

/// Compares a text with the file `NAME.txt` of a folder of tests/, both as `seen` leaves them. `TCPECHO_WRITE_DOCS=1` writes
/// the files that differ.
pub(crate) fn snapshot(folder: &str, name: &str, found: &str, seen: impl Fn(&str) -> Vec<String>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/{folder}/{name}.txt"));
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if seen(&expected) == seen(found) {
        return;
    }
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        std::fs::write(&file, found).unwrap();
        return;
    }
    let (left, right) = (seen(&expected).join("\n"), seen(found).join("\n"));
    panic!(
        "{}: expected\n{expected}\nfound\n{found}\ncompared: expected\n{left}\nfound\n{right}\n\
         TCPECHO_WRITE_DOCS=1 writes the file",
        file.display()
    );
}
