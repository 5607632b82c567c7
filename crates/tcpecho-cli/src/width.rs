//! How wide the terminal is, and paragraphs that fit it.

use std::{
    env,
    io::{self, IsTerminal},
};

/// The widest that a paragraph is written, in columns: longer lines are hard to read.
const WIDEST: usize = 100;
/// The narrowest that is respected.
const NARROWEST: usize = 40;

/// Returns the width for paragraphs, in columns: that of the terminal that stdout, stderr or stdin is, else `$COLUMNS`,
/// and 100 at most. In `tcpecho --help 2>&1 | less` only stdin is the terminal.
pub(crate) fn columns() -> usize {
    let of_terminal = [
        rustix::termios::tcgetwinsize(io::stdout()).ok(),
        rustix::termios::tcgetwinsize(io::stderr()).ok(),
        rustix::termios::tcgetwinsize(io::stdin()).ok(),
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

/// Appends a command line that can be copied: it is wrapped between its words, with a backslash.
pub(crate) fn hang_command(page: &mut String, first: &str, rest: &str, line: &str, width: usize) {
    let (mut current, mut is_begun) = (first.to_owned(), false);
    let words = words(line);
    for (place, word) in words.iter().enumerate() {
        // The last word needs no backslash behind it.
        let backslash = if place + 1 < words.len() { 2 } else { 0 };
        if is_begun && columns_of(&current) + 1 + columns_of(word) + backslash > width {
            page.push_str(&current);
            page.push_str(" \\\n");
            rest.clone_into(&mut current);
            is_begun = false;
        }
        if is_begun {
            current.push(' ');
        }
        current.push_str(word);
        is_begun = true;
    }
    page.push_str(&current);
    page.push('\n');
}

/// Returns the columns that a text takes: an East Asian character takes two.
pub(crate) fn columns_of(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// The words of a command line for the shell; quotes are kept, and what is inside is not divided.
fn words(line: &str) -> Vec<&str> {
    let (mut words, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (None, ' ') => {
                words.push(&line[start..at]);
                start = at + 1;
            }
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    words.push(&line[start..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_wrapped_between_its_words() {
        let line = "tcpecho ping -c 100 --fail-if 'loss > 1%' host";
        let mut page = String::new();
        hang_command(&mut page, "  ", "    ", line, 32);
        assert_eq!(page, "  tcpecho ping -c 100 \\\n    --fail-if 'loss > 1%' host\n");
        for width in 10..60 {
            let mut page = String::new();
            hang_command(&mut page, "", "  ", line, width);
            let copied = page.replace("\\\n", " ");
            assert_eq!(shell_words::split(&copied).unwrap(), shell_words::split(line).unwrap());
        }
    }
}
