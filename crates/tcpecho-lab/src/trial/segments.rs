//! Damage that TCP repairs (RFC 9293 3.1, RFC 5681, RFC 6298): a row for each kind, with a trial for each role.
//!
//! Every byte must come back, in order, once.

use super::{Trial, client, pair, server};
use crate::impairment::{Action, Matcher, Rule};
use crate::side::Side;
use crate::text::{Step, Text};

/// One kind of damage.
pub(super) struct Row {
    pub(super) client: Trial,
    pub(super) server: Trial,
    pub(super) pair: Trial,
}

/// A trial with one step.
macro_rules! trial {
    ($name:expr, $title:expr, $source:expr, $sides:expr, $question:expr, $does:expr, $claims:expr, $play:expr) => {
        Trial {
            sides: $sides,
            text: Text {
                name: $name,
                title: $title,
                source: $source,
                question: $question,
                steps: &[Step { does: $does, claims: $claims }],
                ..Text::EMPTY
            },
            play: |harness| {
                harness.step($does);
                $play(harness)
            },
        }
    };
}

/// The sentences of a row differ only in what happens to the segments.
macro_rules! row {
    ($name:literal, $title:literal, $source:literal, $happens:literal, $rules:expr) => {
        Row {
            client: trial! {
                $name, $title, $source, &[Side::Client], LINES,
                concat!("twenty lines of 1000 bytes are typed and the input ends; ", $happens),
                client::THROUGH, |harness| client::twenty_lines(harness, $rules)
            },
            server: trial! {
                $name, $title, $source, &[Side::Server], BYTES,
                concat!("a client sends 20000 bytes and shuts down its writing half; ", $happens),
                server::THROUGH, |harness| server::twenty_kilobytes(harness, $rules)
            },
            pair: trial! {
                $name, $title, $source, &Side::BOTH, LINES,
                concat!("twenty lines of 1000 bytes are typed at the client and the input ends; ", $happens),
                pair::THROUGH, |harness| pair::twenty_lines(harness, $rules)
            },
        }
    };
}

const LINES: &str =
    "Twenty lines are echoed over such a path. Are all of them written, in order, once?";
const BYTES: &str = "A client sends 20000 bytes over such a path and shuts down its writing half. \
                     Are all of them echoed, in order, once?";

pub(super) static LOST: Row = row! {
    "segment-lost", "segments are lost", "RFC 6298, RFC 5681",
    "the second data segment of each side is lost",
    both(|data| Rule::drop(data).nth(2))
};

pub(super) static DOUBLED: Row = row! {
    "segment-doubled", "segments arrive twice", "RFC 9293 3.10.7.4",
    "every data segment arrives twice",
    vec![Rule::new(Matcher::data(), Action::Duplicate)]
};

pub(super) static REORDERED: Row = row! {
    "segments-reordered", "segments are reordered", "RFC 9293 3.10.7.4",
    "some segments arrive after the next one",
    [both(|data| Rule::new(data, Action::Reorder).nth(2)), both(|data| Rule::new(data, Action::Reorder).nth(3))].concat()
};

pub(super) static CORRUPTED: Row = row! {
    "segment-corrupted", "segments are corrupted", "RFC 9293 3.1",
    "a bit of each side's second data segment flips",
    both(|data| Rule::new(data, Action::Corrupt).nth(2))
};

/// The same rule for the data of each side.
fn both(rule: impl Fn(Matcher) -> Rule) -> Vec<Rule> {
    vec![rule(Matcher::data().from_client()), rule(Matcher::data().from_server())]
}
