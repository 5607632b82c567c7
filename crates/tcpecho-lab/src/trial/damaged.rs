//! What TCP repairs (RFC 9293 3.1, RFC 5681, RFC 6298, RFC 1191, RFC 4821): a row for each kind of
//! damage, with a trial for each role.
//!
//! Every byte must come back, in order, once.

use super::{Trial, client, pair, server};
use crate::impairment::{Action, Matcher, Rule};
use crate::packet::IcmpError;
use crate::text::{Step, Text};

/// Defines a module for each row. The sentences of the rows differ only in what happens to the
/// segments.
macro_rules! damaged {
    ($($kind:ident { $($role:ident)+ }
        $name:literal, $title:literal, $source:literal,
        $happens:literal, $rules:expr, $sysctls:expr;)+) => {
        $(pub(super) mod $kind {
            #[allow(clippy::wildcard_imports, reason = "a row is a part of this file")]
            use super::*;
            $(damaged! { @$role $name, $title, $source, $happens, $rules, $sysctls })+
        })+
    };
    (@CLIENT $name:literal, $title:literal, $source:literal, $happens:literal, $($rules:expr),+) => {
        damaged! { @CLIENT client, $name, $title, $source, LINES, client::twenty_lines,
            concat!("twenty lines of 1000 bytes are typed and the input ends; ", $happens),
            $($rules),+ }
    };
    (@SERVER $name:literal, $title:literal, $source:literal, $happens:literal, $($rules:expr),+) => {
        damaged! { @SERVER server, $name, $title, $source, BYTES, server::twenty_kilobytes,
            concat!("a client sends 20000 bytes and shuts down its writing half; ", $happens),
            $($rules),+ }
    };
    (@PAIR $name:literal, $title:literal, $source:literal, $happens:literal, $($rules:expr),+) => {
        damaged! { @PAIR pair, $name, $title, $source, LINES, pair::twenty_lines,
            concat!("twenty lines of 1000 bytes are typed at the client and the input ends; ", $happens),
            $($rules),+ }
    };
    (@$role:ident $module:ident, $name:expr, $title:expr, $source:expr, $question:expr, $play:path,
        $does:expr, $rules:expr, $sysctls:expr) => {
        pub(in crate::trial) static $role: Trial = Trial {
            sides: sides!($role),
            text: Text {
                name: $name,
                title: $title,
                source: $source,
                question: $question,
                steps: &[Step { does: $does, claims: $module::THROUGH }],
                module: module_path!(),
                ..Text::EMPTY
            },
            play: |harness| {
                harness.step($does);
                $play(harness, $rules, $sysctls)
            },
        };
    };
}

const LINES: &str =
    "Twenty lines are echoed over such a path. Are all of them written, in order, once?";
const BYTES: &str = "A client sends 20000 bytes over such a path and shuts down its writing half. \
                     Are all of them echoed, in order, once?";

damaged! {
    segment_lost { CLIENT SERVER PAIR }
        "segment-lost", "segments are lost", "RFC 6298, RFC 5681",
        "the second data segment of each side is lost",
        both(|data| Rule::drop(data).nth(2)), &[];

    segment_doubled { CLIENT SERVER PAIR }
        "segment-doubled", "segments arrive twice", "RFC 9293 3.10.7.4",
        "every data segment arrives twice",
        vec![Rule::new(Matcher::data(), Action::Duplicate)], &[];

    segments_reordered { CLIENT SERVER PAIR }
        "segments-reordered", "segments are reordered", "RFC 9293 3.10.7.4",
        "some segments arrive after the next one",
        [2, 3].map(|nth| both(|data| Rule::new(data, Action::Reorder).nth(nth))).concat(), &[];

    segment_corrupted { CLIENT SERVER PAIR }
        "segment-corrupted", "segments are corrupted", "RFC 9293 3.1",
        "a bit of each side's second data segment flips",
        both(|data| Rule::new(data, Action::Corrupt).nth(2)), &[];

    mtu_black_hole { CLIENT SERVER }
        "mtu-black-hole", "large packets are dropped silently on the path", "RFC 2923, RFC 4821",
        "packets larger than 1400 bytes are dropped, and the kernels probe the MTU",
        vec![Rule::drop(Matcher::any_tcp().longer_than(1400))],
        &[("net.ipv4.tcp_mtu_probing", "1"), ("net.ipv4.tcp_retries1", "1")];

    fragmentation_needed { CLIENT SERVER }
        "fragmentation-needed", "a router reports that packets are too big", "UNP 2.11, RFC 1191",
        "packets larger than 1400 bytes are answered with \"packet too big\"",
        vec![Rule::answer(Matcher::any_tcp().longer_than(1400), IcmpError::TooBig(1400))], &[];
}

/// The same rule for the data of each side.
fn both(rule: impl Fn(Matcher) -> Rule) -> Vec<Rule> {
    vec![rule(Matcher::data().from_client()), rule(Matcher::data().from_server())]
}
