//! Stderr: one line or text in one write, so that the lines of other programs do not come between.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{
    fresh_line::fresh_line,
    locale::shown,
    width::{fitted, terminal_columns},
};

/// Whether the data on a terminal ends within a line.
static WITHIN_LINE: AtomicBool = AtomicBool::new(false);

/// Writes one line to stderr, with the name of the program before it.
pub(crate) fn say(line: &str) {
    say_raw(&format!("tcpecho: {line}\n"));
}

/// Writes a text to stderr, on a terminal on a line of its own and wrapped at words. A stderr that is closed is not an
/// error.
pub(crate) fn say_raw(text: &str) {
    let stderr = io::stderr();
    let _ = write(&fitted(&shown(text, &stderr), terminal_columns(&stderr)));
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
    let is_within = WITHIN_LINE.swap(false, Relaxed) && stderr.is_terminal();
    let start = match fresh_line(&stderr) {
        Some(start) => start,
        None if is_within => "\n".to_owned(),
        None => return stderr.write_all(text.as_bytes()),
    };
    stderr.write_all(format!("{start}{text}").as_bytes())
}

/// Whether the data on the terminal ends within a line, as far as this program wrote it.
pub(crate) fn stdout_is_within_line() -> bool {
    WITHIN_LINE.load(Relaxed)
}

/// Notes the last byte of data that was written to stdout, which is a terminal.
pub(crate) fn stdout_is_at(last: u8) {
    WITHIN_LINE.store(last != b'\n', Relaxed);
}
