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
    sides: &[Side::Client],
    text: Text {
        name: "fragmentation-needed",
        title: "a router reports that packets are too big",
        source: "UNP 2.11, RFC 1191",
        question: "Twenty lines are echoed over such a path. Are all of them written, in order, \
                   once?",
        steps: &[
            Step {
                does: "twenty lines of 1000 bytes are typed and the input ends; packets larger \
                       than 1400 bytes are answered with \"packet too big\"",
                claims: &[
                    "the server received everything and echoed it",
                    "the program exits with status 0",
                    "the program has written every line, in order, once",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("twenty lines of 1000 bytes are typed and the input ends; packets larger than 1400 bytes are answered with \"packet too big\"");
    let rules = vec![
        Rule::answer(Matcher::any_tcp().longer_than(1400), IcmpError::TooBig(1400)),
    ];
    let (program, lines, said) = through(harness, rules)?;
    harness.claim_echoed("the server received everything and echoed it", &said, 20000);
    harness.claim_ends_well("the program exits with status 0", &program);
    harness.claim_output("the program has written every line, in order, once", &program, &lines);
    Ok(())
}
