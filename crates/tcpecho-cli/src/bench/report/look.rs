//! How a page of text looks: for a terminal with its colours and its width, or for a pipe.

use std::{fmt::Write, io};

use crate::{
    locale::{ascii, is_ascii},
    tell::Colour,
    width::{hang, stdout_columns},
};

/// The narrowest page, in columns.
const NARROWEST: usize = 40;
/// Between two columns of a table.
const GAP: usize = 2;

/// Colours, and the width of the page.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Look {
    pub(in crate::bench) colour: Colour,
    /// None where lines may have any length.
    width: Option<usize>,
    pub(in crate::bench) ascii: bool,
}

impl Look {
    /// For a file or a pipe.
    pub(in crate::bench) const PLAIN: Look =
        Look { colour: Colour::OFF, width: None, ascii: false };

    /// For stdout as it is.
    pub(in crate::bench) fn of_stdout() -> Self {
        let width = stdout_columns().map(|columns| columns.max(NARROWEST));
        Look { colour: Colour::of(&io::stdout()), width, ascii: is_ascii(&io::stdout()) }
    }

    /// Returns how many columns there are besides these.
    pub(in crate::bench) fn room_beside(self, columns: usize, most: usize) -> usize {
        self.width.map_or(most, |width| width.saturating_sub(columns).clamp(8, most))
    }

    /// Returns a table: the first column to the left, the others to the right. Columns that do not fit are folded: they
    /// follow below, with the first column again.
    pub(in crate::bench) fn table(self, rows: &[Vec<String>]) -> String {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &'_ [String], column: usize| {
            let cell = row.get(column).cloned().unwrap_or_default();
            // Before it is measured.
            if self.ascii { ascii(&cell) } else { cell }
        };
        let longest = |column: usize| {
            rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(longest).collect();
        let mut text = String::new();
        let mut next = 1;
        while next < columns || text.is_empty() && columns > 0 {
            let (from, mut used) = (next, widths[0]);
            while next < columns {
                used += GAP + widths[next];
                if next > from && self.width.is_some_and(|width| used > width) {
                    break;
                }
                next += 1;
            }
            if from > 1 {
                text.push('\n');
            }
            for row in rows {
                let mut line = format!("{:<width$}", cell(row, 0), width = widths[0]);
                for (column, &width) in widths.iter().enumerate().take(next).skip(from) {
                    let _ = write!(line, "  {:>width$}", cell(row, column));
                }
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        text
    }

    /// Returns a page with its lines wrapped at words. Lines of a table fit already. What follows a label of a line stands
    /// below what follows it in the first.
    pub(in crate::bench) fn wrapped(self, page: &str) -> String {
        let Some(width) = self.width else { return page.to_owned() };
        let mut text = String::new();
        for line in page.lines() {
            if line.chars().count() <= width {
                text.push_str(line);
                text.push('\n');
                continue;
            }
            let label = line.find("  ").filter(|at| *at <= 12).map(|at| {
                let rest = &line[at..];
                line.chars().count() - rest.trim_start().chars().count()
            });
            let note = line.strip_prefix("note: ").map(|_| "note: ".len());
            let indent = note.or(label).filter(|indent| *indent <= 16).unwrap_or(2);
            let (first, rest) = line.split_at(line.char_indices().nth(indent).map_or(0, |at| at.0));
            let (first, rest) = if indent == 2 { ("", line) } else { (first, rest) };
            hang(&mut text, first, &" ".repeat(indent), rest.trim_start(), width);
        }
        text
    }

    /// Returns a page with the first word of the lines painted that begin with one of these: what failed, and what makes the
    /// result doubtful.
    pub(in crate::bench) fn painted(self, page: &str, bad: &[&str], doubtful: &[&str]) -> String {
        let mut text = String::new();
        for line in page.lines() {
            let begins = |starts: &[&str]| starts.iter().any(|start| line.starts_with(start));
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let _ = match (begins(bad), begins(doubtful)) {
                (true, _) => writeln!(text, "{} {rest}", self.colour.bad(word)),
                (_, true) => writeln!(text, "{} {rest}", self.colour.doubtful(word)),
                _ => writeln!(text, "{line}"),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        vec![row(&["server", "messages/s", "p50", "p99"]), row(&["epoll", "101,957", "1 ms", "-"])]
    }

    #[test]
    fn columns_that_do_not_fit_follow_below() {
        let whole = "server  messages/s   p50  p99\nepoll      101,957  1 ms    -\n";
        assert_eq!(Look::PLAIN.table(&rows()), whole);
        let narrow = Look { width: Some(24), ..Look::PLAIN };
        let folded =
            "server  messages/s   p50\nepoll      101,957  1 ms\n\nserver  p99\nepoll     -\n";
        assert_eq!(narrow.table(&rows()), folded);
        assert_eq!(narrow.table(&[]), "");
    }

    #[test]
    fn lines_break_at_words_below_what_follows_their_label() {
        let narrow = Look { width: Some(30), ..Look::PLAIN };
        let wrapped = narrow.wrapped(
            "errors       none: every byte came back\nshort\nnote: one two three four five six\n",
        );
        let expected = "errors       none: every byte\n             came back\nshort\n\
                        note: one two three four five\n      six\n";
        assert_eq!(wrapped, expected);
    }
}
