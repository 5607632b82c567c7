//! A row of the screen: text with its colours.

use std::fmt::Write;

use tcpecho_os::text::is_plain;

/// The colours of the targets, in turn (ECMA-48 8.3.117): those of text that can be read on black and on white.
const TARGETS: [&str; 5] = ["36", "33", "35", "32", "34"];

/// The colour of a part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    /// That of a target, by its place.
    Target(usize),
    /// What is lost, late or down.
    Bad,
}

/// Parts of text with their colours.
#[derive(Debug, Clone, Default)]
pub(super) struct Row(Vec<(Paint, String)>);

impl Row {
    pub(super) fn new(paint: Paint, text: impl Into<String>) -> Self {
        Row(vec![(paint, text.into())])
    }

    pub(super) fn push(&mut self, paint: Paint, letter: char) {
        match self.0.last_mut() {
            Some((last, text)) if *last == paint => text.push(letter),
            _ => self.0.push((paint, letter.into())),
        }
    }

    /// Appends a part.
    pub(super) fn and(mut self, paint: Paint, text: impl Into<String>) -> Self {
        self.0.push((paint, text.into()));
        self
    }

    /// Returns it without blanks at its end.
    pub(super) fn trimmed(mut self) -> Self {
        while let Some((_, last)) = self.0.last_mut() {
            last.truncate(last.trim_end().len());
            if !last.is_empty() {
                break;
            }
            self.0.pop();
        }
        self
    }

    /// Returns its text.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Appends it to the screen, not wider than `width` and without anything that a terminal obeys.
    pub(super) fn draw(&self, screen: &mut String, width: usize, has_colour: bool) {
        let mut room = width;
        for (paint, text) in &self.0 {
            let text: String = text.chars().filter(|letter| is_plain(*letter)).take(room).collect();
            room -= text.chars().count();
            let colour = match paint {
                Paint::Target(place) if has_colour => TARGETS[place % TARGETS.len()],
                Paint::Bad if has_colour => "31",
                _ => {
                    screen.push_str(&text);
                    continue;
                }
            };
            let _ = write!(screen, "\x1b[{colour}m{text}\x1b[0m");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_cut_by_letters_that_are_seen() {
        let row = Row::new(Paint::Target(0), "one").and(Paint::Bad, "\x1b[2Jtwo");
        let drawn = |width, has_colour| {
            let mut screen = String::new();
            row.draw(&mut screen, width, has_colour);
            screen
        };
        assert_eq!(drawn(100, false), "one[2Jtwo");
        assert_eq!(drawn(4, true), "\x1b[36mone\x1b[0m\x1b[31m[\x1b[0m");
        assert_eq!(drawn(0, false), "");
        let blank = Row::new(Paint::Plain, "a ").and(Paint::Bad, "  ").trimmed();
        assert_eq!(blank.text(), "a");
    }
}
