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
    sides: &[Side::Client],
    text: Text {
        name: "fragmentation-needed",
        title: "a router cannot pass long packets on and says so",
        source: "UNP 2.11, RFC 1191",
        question: "Twenty lines go there and back over such a path. Are they all there, in order, \
                   once?",
        steps: &[
            Step {
                does: "twenty lines of 1000 bytes are typed and the input ends; packets longer \
                       than 1400 bytes are answered with packet too big",
                claims: &[
                    "the server got everything and could send it back",
                    "the program ends with status 0",
                    "every line came back, in order, once",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("twenty lines of 1000 bytes are typed and the input ends; packets longer than 1400 bytes are answered with packet too big");
    let rules = vec![
        Rule::answer(Matcher::any_tcp().longer_than(1400), IcmpError::TooBig(1400)),
    ];
    let (program, lines, said) = through(harness, rules)?;
    harness.claim_echoed("the server got everything and could send it back", &said, 20000);
    harness.claim_ends_well("the program ends with status 0", &program);
    harness.claim_output("every line came back, in order, once", &program, &lines);
    Ok(())
}
