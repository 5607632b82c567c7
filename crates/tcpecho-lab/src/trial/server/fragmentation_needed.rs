//! A router cannot forward large packets and reports it, and the stream is still right (UNP 2.11, RFC 1191).

use super::through;
use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "fragmentation-needed",
        title: "a router reports that packets are too big",
        source: "UNP 2.11, RFC 1191",
        question: "A client sends 20000 bytes over such a path and shuts down its writing half. \
                   Are all of them echoed, in order, once?",
        steps: &[
            Step {
                does: "a client sends 20000 bytes and shuts down its writing half; packets larger \
                       than 1400 bytes are answered with \"packet too big\"",
                claims: &[
                    "all bytes are echoed, in order, once",
                    "the program still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client sends 20000 bytes and shuts down its writing half; packets larger than 1400 bytes are answered with \"packet too big\"");
    let rules = vec![
        Rule::answer(Matcher::any_tcp().longer_than(1400), IcmpError::TooBig(1400)),
    ];
    let (program, client) = through(harness, rules)?;
    harness.claim_comes_back("all bytes are echoed, in order, once", &program, &client, 20_000)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
