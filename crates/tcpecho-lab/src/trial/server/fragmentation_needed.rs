//! a router cannot pass long packets on and says so: the stream is right all the same (UNP 2.11, RFC 1191).

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
        title: "a router cannot pass long packets on and says so",
        source: "UNP 2.11, RFC 1191",
        question: "A client sends 20000 bytes over such a path and ends its half. Do they all come \
                   back, in order, once?",
        steps: &[
            Step {
                does: "a client sends 20000 bytes and ends its half; packets longer than 1400 \
                       bytes are answered with packet too big",
                claims: &[
                    "all bytes come back, in order, once",
                    "the program goes on",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client sends 20000 bytes and ends its half; packets longer than 1400 bytes are answered with packet too big");
    let rules = vec![
        Rule::answer(Matcher::any_tcp().longer_than(1400), IcmpError::TooBig(1400)),
    ];
    let (program, client) = through(harness, rules)?;
    harness.claim_comes_back("all bytes come back, in order, once", &program, &client, 20_000)?;
    harness.claim_runs("the program goes on", &program);
    Ok(())
}
