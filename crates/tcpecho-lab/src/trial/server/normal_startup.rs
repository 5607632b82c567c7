//! Two clients come, the second while the first is there (UNP 5.6).

use super::{NOTICE, customer, open, served_within};
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "normal-startup",
        title: "clients come",
        source: "UNP 5.6",
        question: "Does the program serve a client, and another one beside it?",
        steps: &[
            Step {
                does: "a client connects and sends a line",
                claims: &[
                    "the line comes back",
                ],
            },
            Step {
                does: "a second client does the same while the first is connected",
                claims: &[],
            },
            Step {
                does: "the first closes, and a third comes when the second has gone",
                claims: &[
                    "the line comes back to the third",
                    "the program goes on",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client connects and sends a line");
    let program = open(harness)?;
    let first = customer(harness)?;
    harness.claim_serves("the line comes back", &program, &first)?;

    harness.step("a second client does the same while the first is connected");
    let second = customer(harness)?;
    if served_within(harness, NOTICE, &second, "hello")?.is_some() {
        harness.note("serves one client at a time");
    }

    harness.step("the first closes, and a third comes when the second has gone");
    first.must("close")?;
    second.program().kill();
    harness.claim_serves_another("the line comes back to the third", &program)?;
    harness.claim_runs("the program goes on", &program);
    Ok(())
}
