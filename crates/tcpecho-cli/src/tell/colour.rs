//! Colour, for people at a terminal who have not asked to be spared it (no-color.org).

use std::{
    env,
    io::{IsTerminal, stderr},
};

/// Whether the stream is a terminal that can, and `NO_COLOR` is not set to anything.
pub(crate) fn has_colour(stream: &impl IsTerminal) -> bool {
    let spared = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    stream.is_terminal() && !spared && !dumb
}

/// Whether there is colour.
pub(super) struct Colour(bool);

impl Colour {
    pub(super) fn of_standard_error() -> Self {
        Colour(has_colour(&stderr()))
    }

    /// How it ended: bold and red.
    pub(super) fn ending(&self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// The name of a field: bold.
    pub(super) fn label(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(&self, how: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{how}m{text}\x1b[0m") } else { text.into() }
    }
}
