//! The input ends while replies are owed (UNP 6.6).

use super::{echoed, meet};
use crate::impairment::Matcher;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use std::time::Duration;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "half-close",
        title: "the input ends while replies are owed",
        source: "UNP 6.6",
        question: "Ten lines are typed and the input ends before the first reply. Does every reply \
                   come out, and does the server learn of the end?",
        steps: &[
            Step {
                does: "ten lines are typed and the input ends; the server reads nothing yet",
                claims: &[],
            },
            Step {
                does: "now the server echoes",
                claims: &[
                    "the server got everything and could send it back",
                    "the program says that it is done: FIN",
                ],
            },
            Step {
                does: "the server closes",
                claims: &[
                    "the program ends with status 0",
                    "every line came back",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

/// How long the replies wait for FIN; a program that sends it only after them is no worse.
const FIN_FIRST: Duration = Duration::from_secs(1);

fn play(harness: &mut Harness) -> Played {
    harness.step("ten lines are typed and the input ends; the server reads nothing yet");
    let (program, server) = meet(harness)?;
    let lines: Vec<String> = (1..=10).map(|number| format!("line {number}")).collect();
    for line in &lines {
        program.types(line);
    }
    harness.decisive();
    program.ends_input();
    let fin = Matcher::fin().from_client();
    if harness.delivered(&fin, 0, FIN_FIRST).is_err() {
        harness.note("sends no FIN before it has every reply");
    }

    harness.step("now the server echoes");
    let bytes = lines.iter().map(|line| line.len() + 1).sum();
    let said = echoed(harness, &server, bytes)?;
    harness.claim_echoed("the server got everything and could send it back", &said, bytes);
    let told = harness.delivered(&fin, 0, super::END);
    harness.claim_or("the program says that it is done: FIN", Fault::Hung, told.is_ok());

    harness.step("the server closes");
    server.call("close")?;
    harness.claim_ends_well("the program ends with status 0", &program);
    harness.claim_output("every line came back", &program, &lines);
    Ok(())
}
