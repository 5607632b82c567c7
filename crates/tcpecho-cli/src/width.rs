//! How wide the terminal is, and paragraphs that fit it.

use std::{
    env,
    io::{self, IsTerminal},
};

/// The widest that a paragraph is written, in columns: longer lines are hard to read.
const WIDEST: usize = 100;
/// The narrowest that is respected.
const NARROWEST: usize = 40;

/// Returns the width for paragraphs, in columns: that of the terminal that stdout or stderr is, else `$COLUMNS`, and
/// 100 at most.
pub(crate) fn columns() -> usize {
    let of_terminal = [
        rustix::termios::tcgetwinsize(io::stdout()).ok(),
        rustix::termios::tcgetwinsize(io::stderr()).ok(),
    ]
    .into_iter()
    .flatten()
    .map(|size| usize::from(size.ws_col))
    .find(|&columns| columns > 0);
    let of_environment = || env::var("COLUMNS").ok()?.parse().ok();
    of_terminal.or_else(of_environment).unwrap_or(WIDEST).clamp(NARROWEST, WIDEST)
}

/// Returns the width of stderr if that is a terminal, as [`columns`]. A line that goes elsewhere is not wrapped: programs
/// read it.
pub(crate) fn stderr_columns() -> Option<usize> {
    io::stderr().is_terminal().then(columns)
}

/// Returns the width of stdout in columns, if that is a terminal that tells it.
pub(crate) fn stdout_columns() -> Option<usize> {
    let stdout = io::stdout();
    let size =
        stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

/// Appends a paragraph whose first line begins with `first`, and all others with `rest`. No word is broken.
pub(crate) fn hang(page: &mut String, first: &str, rest: &str, text: &str, width: usize) {
    let layout = textwrap::Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    page.push_str(&textwrap::fill(text, layout));
    page.push('\n');
}
