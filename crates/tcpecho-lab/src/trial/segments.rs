//! Damage that TCP repairs (RFC 9293 3.1, RFC 5681, RFC 6298): a row for each kind, with a trial for each role.
//!
//! Whatever happens to segments on the way, every byte must come back, in order, once.

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

/// The sentences of a row differ in what happens to the segments only.
macro_rules! row {
    ($name:literal, $title:literal, $source:literal, $happens:literal, $rules:expr) => {
        Row {
            client: Trial {
                sides: &[Side::Client],
                text: Text {
                    name: $name,
                    title: $title,
                    source: $source,
                    question: "Twenty lines go there and back over such a path. Are they all there, in order, once?",
                    steps: &[Step {
                        does: concat!("twenty lines of 1000 bytes are typed and the input ends; ", $happens),
                        claims: client::THROUGH,
                    }],
                    ..Text::TRIAL
                },
                play: |harness| {
                    harness.step(concat!("twenty lines of 1000 bytes are typed and the input ends; ", $happens));
                    client::twenty_lines(harness, $rules)
                },
            },
            server: Trial {
                sides: &[Side::Server],
                text: Text {
                    name: $name,
                    title: $title,
                    source: $source,
                    question: "A client sends 20000 bytes over such a path and ends its half. Do they all come back, in order, once?",
                    steps: &[Step {
                        does: concat!("a client sends 20000 bytes and ends its half; ", $happens),
                        claims: server::THROUGH,
                    }],
                    ..Text::TRIAL
                },
                play: |harness| {
                    harness.step(concat!("a client sends 20000 bytes and ends its half; ", $happens));
                    server::twenty_kilobytes(harness, $rules)
                },
            },
            pair: Trial {
                sides: &Side::BOTH,
                text: Text {
                    name: $name,
                    title: $title,
                    source: $source,
                    question: "Twenty lines go there and back over such a path. Are they all there, in order, once?",
                    steps: &[Step {
                        does: concat!("twenty lines of 1000 bytes are typed at the client and the input ends; ", $happens),
                        claims: pair::THROUGH,
                    }],
                    ..Text::TRIAL
                },
                play: |harness| {
                    harness.step(concat!("twenty lines of 1000 bytes are typed at the client and the input ends; ", $happens));
                    pair::twenty_lines(harness, $rules)
                },
            },
        }
    };
}

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
    "segments-reordered", "segments overtake each other", "RFC 9293 3.10.7.4",
    "some segments are overtaken by the next",
    [both(|data| Rule::new(data, Action::Reorder).nth(2)), both(|data| Rule::new(data, Action::Reorder).nth(3))].concat()
};

pub(super) static CORRUPTED: Row = row! {
    "segment-corrupted", "segments are corrupted", "RFC 9293 3.1",
    "a bit of the second data segment of each side is flipped",
    both(|data| Rule::new(data, Action::Corrupt).nth(2))
};

/// The same rule for the data of each side.
fn both(rule: impl Fn(Matcher) -> Rule) -> Vec<Rule> {
    vec![rule(Matcher::data().from_client()), rule(Matcher::data().from_server())]
}
