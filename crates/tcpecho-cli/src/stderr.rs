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
    let _ = write(&shown(text, &io::stderr()));
}

/// Writes an object of JSON to stderr as [`say_raw`], in UTF-8 whatever the locale.
///
/// # Errors
/// Those of write(2).
pub(crate) fn say_json(object: &str) -> io::Result<()> {
    write(object)
}

fn write(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr();
    if WITHIN_LINE.swap(false, Relaxed) && stderr.is_terminal() {
        return stderr.write_all(format!("\n{text}").as_bytes());
    }
    stderr.write_all(text.as_bytes())
}

/// Notes the last byte of data that was written to stdout, which is a terminal.
pub(crate) fn stdout_is_at(last: u8) {
    WITHIN_LINE.store(last != b'\n', Relaxed);
}
