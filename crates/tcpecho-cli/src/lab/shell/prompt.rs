//! Where commands come from: a line editor on a terminal, else plain lines.

use std::io::{self, BufRead, IsTerminal, Write};

use rustyline::{DefaultEditor, ExternalPrinter as _, error::ReadlineError};

use crate::lab::ladder::Sink;

pub(super) enum Prompt {
    Editor(Box<DefaultEditor>),
    Lines,
}

/// Longer lines are no commands; memory must not grow with them.
const LONGEST: u64 = 64 * 1024;

impl Prompt {
    /// And where everything that is shown goes, so that it does not tear the line that is being typed.
    pub(super) fn new() -> Result<(Self, Sink), ReadlineError> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            let print: Sink = Box::new(|line| {
                let _ = writeln!(io::stdout().lock(), "{line}");
            });
            return Ok((Prompt::Lines, print));
        }
        let mut editor = DefaultEditor::new()?;
        let mut printer = editor.create_external_printer()?;
        let print: Sink = Box::new(move |line| {
            let line = format!("{line}\n");
            if printer.print(line.clone()).is_err() {
                let _ = io::stdout().lock().write_all(line.as_bytes());
            }
        });
        Ok((Prompt::Editor(Box::new(editor)), print))
    }

    pub(super) fn is_interactive(&self) -> bool {
        matches!(self, Prompt::Editor(_))
    }

    /// The next line; `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<String>, ReadlineError> {
        let Prompt::Editor(editor) = self else { return Ok(plain_line()?) };
        match editor.readline("lab> ") {
            Ok(line) => {
                let _ = editor.add_history_entry(line.as_str());
                Ok(Some(line))
            }
            Err(ReadlineError::Eof) => Ok(None),
            // Ctrl-C gives up the line, not the laboratory.
            Err(ReadlineError::Interrupted) => Ok(Some(String::new())),
            Err(error) => Err(error),
        }
    }
}

/// Bytes that are no UTF-8 are replaced.
fn plain_line() -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    io::Read::take(io::stdin().lock(), LONGEST).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).into()))
}
