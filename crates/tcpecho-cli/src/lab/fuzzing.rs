//! The parsers of the lab's verbs, for the fuzz targets.
#![allow(clippy::missing_errors_doc, reason = "each returns the parser's own sentence")]

use super::{
    expect::Expectations,
    shell::command::{self, Command},
};

/// A command of the lab's shell.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A rule, as it is listed.
    Rule(String),
    /// Anything else, for comparison.
    Other(String),
}

/// Parses a command of the lab's shell.
pub fn shell_line(line: &str) -> Result<Line, String> {
    command::parse(line).map(|command| match command {
        Command::Rule(rule) => Line::Rule(rule.to_string()),
        other => Line::Other(format!("{other:?}")),
    })
}

/// Parses expected verdicts; returns the verdict of each known trial.
pub fn expectations(text: &str, known: &[&str]) -> Result<Vec<(String, String)>, String> {
    let all = Expectations::parse(text, known, "")?;
    Ok(known.iter().map(|name| ((*name).to_owned(), all.of(name).to_owned())).collect())
}
