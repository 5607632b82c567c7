//! Lines go there and back, then the input ends (UNP 5.7).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "normal-termination",
        title: "lines go there and back",
        source: "UNP 5.7",
        question: "Does every line come back, and does the program end well?",
        steps: &[
            Step {
                does: "three lines are typed, each when the one before has come back",
                claims: &[],
            },
            Step {
                does: "the input ends",
                claims: &[
                    "the program tells the server so: FIN",
                ],
            },
            Step {
                does: "the server closes too",
                claims: &[
                    "the program ends with status 0",
                    "the three lines have come back, and nothing else",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("three lines are typed, each when the one before has come back");
    let (program, server) = meet(harness)?;
    for line in ["one", "", "three"] {
        exchange(harness, &program, &server, line)?;
    }

    harness.step("the input ends");
    harness.decisive();
    program.ends_input();
    let fin = harness.delivered(&Matcher::fin().from_client(), 0, super::END);
    harness.claim_or("the program tells the server so: FIN", Fault::Hung, fin.is_ok());

    harness.step("the server closes too");
    server.must("close")?;
    harness.claim_ends_well("the program ends with status 0", &program);
    let lines = ["one", "", "three"].map(String::from);
    harness.claim_output("the three lines have come back, and nothing else", &program, &lines);
    Ok(())
}
