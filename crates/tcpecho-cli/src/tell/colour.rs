//! Colour, for people at a terminal who have not asked to be spared it (no-color.org).

use std::{
    env,
    io::{IsTerminal, stderr},
};

/// Whether the stream is a terminal that can, and `NO_COLOR` is not set to anything.
pub(crate) fn has_colour(stream: &impl IsTerminal) -> bool {
    let spared = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    has_cursor_control(stream) && !spared
}

/// Whether the stream is a terminal that obeys escape sequences: TERM is set, and not `dumb` (terminfo(5)).
pub(crate) fn has_cursor_control(stream: &impl IsTerminal) -> bool {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    stream.is_terminal() && !is_dumb
}

/// Whether there is colour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Colour(bool);

impl Colour {
    /// No colour.
    pub(crate) const OFF: Colour = Colour(false);

    /// The colour of a stream.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        Colour(has_colour(stream))
    }

    pub(super) fn of_standard_error() -> Self {
        Colour::of(&stderr())
    }

    /// How it ended: bold and red.
    pub(super) fn ending(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// The name of a field: bold.
    pub(super) fn label(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What failed: red.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What makes a result doubtful: yellow.
    pub(crate) fn doubtful(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// What passed: green.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn paint(self, how: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{how}m{text}\x1b[0m") } else { text.into() }
    }
}
