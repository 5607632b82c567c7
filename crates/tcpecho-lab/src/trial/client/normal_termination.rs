//! Lines are echoed, then the input ends (UNP 5.7).

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
        title: "lines are echoed",
        source: "UNP 5.7",
        question: "Is every line written, and does the program exit with 0?",
        steps: &[
            Step {
                does: "three lines are typed, each after the one before has been echoed",
                claims: &[],
            },
            Step {
                does: "the input ends",
                claims: &[
                    "the program sends FIN",
                ],
            },
            Step {
                does: "the server closes too",
                claims: &[
                    "the program exits with status 0",
                    "the program has written the three lines and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("three lines are typed, each after the one before has been echoed");
    let (program, server) = meet(harness)?;
    for line in ["one", "", "three"] {
        exchange(harness, &program, &server, line)?;
    }

    harness.step("the input ends");
    harness.decisive();
    program.ends_input();
    let fin = harness.delivered(&Matcher::fin().from_client(), 0, super::END);
    harness.claim_or("the program sends FIN", Fault::Hung, fin.is_ok());

    harness.step("the server closes too");
    server.must("close")?;
    harness.claim_ends_well("the program exits with status 0", &program);
    let lines = ["one", "", "three"].map(String::from);
    harness.claim_output("the program has written the three lines and nothing else", &program, &lines);
    Ok(())
}
