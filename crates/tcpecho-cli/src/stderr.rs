//! Stderr: one line or text in one write, so that the lines of other programs do not come between.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::locale::shown;

/// Whether the data on a terminal ends within a line.
static WITHIN_LINE: AtomicBool = AtomicBool::new(false);

/// Writes one line to stderr, with the name of the program before it.
pub(crate) fn say(line: &str) {
    say_raw(&format!("tcpecho: {line}\n"));
}

/// Writes a text to stderr, on a terminal on a line of its own. A stderr that is closed is not an error.
pub(crate) fn say_raw(text: &str) {
    let mut stderr = io::stderr();
    let text = shown(text, &stderr);
    if WITHIN_LINE.swap(false, Relaxed) && stderr.is_terminal() {
        let _ = stderr.write_all(format!("\n{text}").as_bytes());
    } else {
        let _ = stderr.write_all(text.as_bytes());
    }
}

/// Writes an object of JSON to stderr, in UTF-8 whatever the locale.
pub(crate) fn say_json(object: &str) {
    let _ = io::stderr().write_all(object.as_bytes());
}

/// Notes the last byte of data that was written to stdout, which is a terminal.
pub(crate) fn stdout_is_at(last: u8) {
    WITHIN_LINE.store(last != b'\n', Relaxed);
}
