//! The input ends while replies are outstanding (UNP 6.6).

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
        title: "the input ends while replies are outstanding",
        source: "UNP 6.6",
        question: "Ten lines are typed, and the input ends before the first reply. Is every reply \
                   written, and does the server receive FIN?",
        steps: &[
            Step {
                does: "ten lines are typed and the input ends; the server reads nothing yet",
                claims: &[],
            },
            Step {
                does: "the server echoes",
                claims: &[
                    "the server received everything and echoed it",
                    "the program sends FIN",
                ],
            },
            Step {
                does: "the server closes",
                claims: &[
                    "the program exits with status 0",
                    "the program has written every line",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

/// How long the replies wait for FIN; a program that sends it only after them is not worse.
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

    harness.step("the server echoes");
    let bytes = lines.iter().map(|line| line.len() + 1).sum();
    let said = echoed(harness, &server, bytes)?;
    harness.claim_echoed("the server received everything and echoed it", &said, bytes);
    let told = harness.delivered(&fin, 0, super::END);
    harness.claim_or("the program sends FIN", Fault::Hung, told.is_ok());

    harness.step("the server closes");
    server.call("close")?;
    harness.claim_ends_well("the program exits with status 0", &program);
    harness.claim_output("the program has written every line", &program, &lines);
    Ok(())
}
