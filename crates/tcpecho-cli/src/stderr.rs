//! Stderr: one line or text in one write, so that the lines of other programs do not come between.

use std::io::{self, Write};

/// Writes one line to stderr, with the name of the program before it.
pub(crate) fn say(line: &str) {
    say_raw(&format!("tcpecho: {line}\n"));
}

/// Writes a text to stderr. A stderr that is closed is not an error.
pub(crate) fn say_raw(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
