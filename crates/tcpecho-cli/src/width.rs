//! How wide the terminal is, and paragraphs that fit it.

use std::{
    borrow::Cow,
    env,
    io::{self, IsTerminal},
    os::fd::AsFd,
};

use textwrap::{WordSeparator, WordSplitter, core::display_width};

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
    terminal_columns(&io::stdout())
}

/// Returns the width of a stream in columns, if that is a terminal that tells it.
pub(crate) fn terminal_columns(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    let size =
        stream.is_terminal().then(|| rustix::termios::tcgetwinsize(stream).ok()).flatten()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

/// Appends a paragraph whose first line begins with `first`, and all others with `rest`. No word is broken.
pub(crate) fn hang(page: &mut String, first: &str, rest: &str, text: &str, width: usize) {
    let layout = textwrap::Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    page.push_str(&textwrap::fill(&with_units_kept(text), layout).replace(NO_BREAK, " "));
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

/// Returns a text with the lines wrapped at words that are wider than `width`; without a width, as it is. What does not
/// fit follows with two columns more of indentation.
pub(crate) fn fitted(text: &str, width: Option<usize>) -> Cow<'_, str> {
    let width = width.unwrap_or(usize::MAX).max(NARROWEST);
    if text.lines().all(|line| display_width(line) <= width) {
        return text.into();
    }
    let mut page = String::with_capacity(text.len() + 16);
    for line in text.lines() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let (first, rest) = line.split_at(indent);
        hang(&mut page, first, &" ".repeat(indent + 2), rest, width);
    }
    if !text.ends_with('\n') {
        page.pop();
    }
    page.into()
}

/// Returns the parts in one line, or in several where they are wider than `width`: a part is broken only if it is too
/// wide for a line of its own.
pub(crate) fn folded<'a>(parts: impl IntoIterator<Item = &'a str>, width: Option<usize>) -> String {
    let kept: Vec<String> = parts.into_iter().map(|part| part.replace(' ', NO_BREAK)).collect();
    let folded = fitted(&kept.join(" "), width).replace(NO_BREAK, " ");
    fitted(&folded, width).into_owned()
}

/// A space at which no line is broken.
pub(crate) const NO_BREAK: &str = "\u{a0}";

/// The longest command in parentheses that is kept in one line, in characters.
const SHORT: usize = 16;

/// Returns a text in which short parentheses, such as `(ss -ltn)`, are bound together, and units to the numbers before
/// them.
fn with_units_kept(text: &str) -> Cow<'_, str> {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" (") {
        kept.push_str(before);
        kept.push_str(" (");
        rest = after;
        if let Some((inside, after)) = after.split_once(')')
            && inside.chars().count() <= SHORT
            && !inside.contains('(')
        {
            kept.push_str(&inside.replace(' ', NO_BREAK));
            kept.push(')');
            rest = after;
        }
    }
    kept.push_str(rest);
    let text = kept.as_str();
    let is_unit = |word: &str| {
        let word = word.trim_end_matches([',', ';', ':', '.', ')']);
        matches!(word, "ns" | "µs" | "us" | "ms" | "s" | "%" | "B" | "kB" | "MB" | "GB")
            || word.ends_with("B/s")
            || word == "Gbit/s"
    };
    let ends_in_digit = |text: &str| text.ends_with(|last: char| last.is_ascii_digit());
    let mut words = text.split(' ');
    let mut bound = words.next().unwrap_or_default().to_owned();
    for word in words {
        let is_bound = is_unit(word) && ends_in_digit(&bound);
        bound.push_str(if is_bound { NO_BREAK } else { " " });
        bound.push_str(word);
    }
    Cow::Owned(bound)
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

    #[test]
    fn wide_lines_are_wrapped_at_words() {
        let text = "short\n  one two three four five six seven eight nine\n";
        assert_eq!(fitted(text, None), text);
        let wrapped = "short\n  one two three four five six seven eight\n    nine\n";
        assert_eq!(fitted(text, Some(44)), wrapped);
        // Colours have no width.
        let painted = format!("\x1b[31m{}\x1b[0m", "x".repeat(40));
        assert_eq!(fitted(&painted, Some(40)), painted);
        assert_eq!(
            fitted("a word of no end: 0123456789012345678901234567890123456789", Some(10)),
            "a word of no end:\n  0123456789012345678901234567890123456789"
        );
    }

    #[test]
    fn a_number_keeps_its_unit() {
        let mut page = String::new();
        hang(&mut page, "", "  ", "change +5.3 %, limit 13.0 ms in 0.01 s", 14);
        assert_eq!(page, "change +5.3 %,\n  limit\n  13.0 ms in\n  0.01 s\n");
    }

    #[test]
    fn a_short_command_in_parentheses_is_kept_together() {
        let mut page = String::new();
        hang(&mut page, "", "  ", "look at the queues (ss -ltn) there", 25);
        assert_eq!(page, "look at the queues\n  (ss -ltn) there\n");
        let mut page = String::new();
        hang(&mut page, "", "", "a (sentence of several words) b", 20);
        assert_eq!(page, "a (sentence of\nseveral words) b\n");
    }

    #[test]
    fn parts_are_folded_before_words_are_wrapped() {
        let parts = ["seq=1 time=0.413 ms rtt=0.023 ms", "kernel: srtt 0.027 ms minrtt 0.014 ms"];
        assert_eq!(folded(parts, Some(80)), parts.join(" "));
        assert_eq!(folded(parts, Some(60)), parts.join("\n  "));
        let long = "a part that is wider than the line that it has for itself";
        assert_eq!(
            folded(["x", long], Some(40)),
            "x\n  a part that is wider than the line\n    that it has for itself"
        );
    }
}
