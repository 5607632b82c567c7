//! What a person sees of each command, in terminals of 120, 80 and 60 columns and in a pipe: `tests/text/NAME-WIDTH.txt`.
//!
//! The files are compared after what differs from run to run has been masked, and paragraph by paragraph, because the length
//! of a time can change where a line is wrapped. Whether lines fit, and words are whole, is asserted of what was printed.
//! `TCPECHO_WRITE_DOCS=1 cargo test -p tcpecho-cli --test text` writes what has changed.

#[path = "../common/mod.rs"]
mod common;
#[path = "../docs/mask.rs"]
mod mask;
#[path = "../common/printed.rs"]
mod printed;

mod bench;
mod connect;
mod help;
mod ping;
mod serve;

use std::collections::BTreeSet;

use mask::mask;
use printed::{PLACES, Place, paragraphs, settled, snapshot};

/// What depends on the machine and on how busy it is.
const VARIES: [&str; 7] = [
    "note: ",
    "client  ",
    "TCP  ",
    "memory  ",
    "tcpecho: other programs",
    "this program",
    "kernel: ",
];

/// Returns the paragraphs of a text, masked, without those that depend on the machine.
fn seen(text: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for paragraph in paragraphs(text) {
        let masked = mask(&paragraph).replace(" not timed", "");
        let is_figure = paragraph.starts_with("server  ") && masked.contains("processor time");
        if !is_figure && !VARIES.iter().any(|start| paragraph.starts_with(start)) {
            seen.push(masked);
        }
    }
    seen
}

/// Returns the words of paragraphs; numbers alone are no words.
fn words(paragraphs: &[String]) -> BTreeSet<&str> {
    let words = paragraphs.iter().flat_map(|paragraph| paragraph.split(' '));
    words.filter(|word| word.contains(char::is_alphabetic)).collect()
}

/// Runs a shell's line everywhere, checks what it prints, and compares it with the files of this name.
fn looks(name: &str, line: &str) {
    looks_like(name, line, seen);
}

/// The same, and compares what `seen` leaves of it.
fn looks_like(name: &str, line: &str, seen: impl Fn(&str) -> Vec<String>) {
    let mut all = Vec::new();
    for place in PLACES {
        let Some(text) = place.shows(line) else { return };
        all.push((place, text));
    }
    compare(name, &all, seen);
}

/// Compares what was printed in each place, the pipe last, with the files of this name.
fn compare(name: &str, all: &[(Place, String)], seen: impl Fn(&str) -> Vec<String>) {
    let whole = seen(&settled(&all.last().unwrap().1));
    let whole = words(&whole);
    for (place, text) in all {
        place.check(text);
        let text = settled(text);
        for word in words(&seen(&text)) {
            assert!(whole.contains(word), "{place:?}: {word:?} in\n{text}");
        }
        snapshot("text", &format!("{name}-{}", place.name()), &text, &seen);
    }
}
