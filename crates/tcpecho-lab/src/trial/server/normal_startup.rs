//! Two clients connect, the second while the first is connected (UNP 5.6).

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
        title: "clients connect",
        source: "UNP 5.6",
        question: "Does the program serve a client, and another one that connects meanwhile?",
        steps: &[
            Step {
                does: "a client connects and sends a line",
                claims: &[
                    "the client's line is echoed",
                ],
            },
            Step {
                does: "a second client does the same while the first is connected",
                claims: &[],
            },
            Step {
                does: "the first closes, and a third connects after the second has closed",
                claims: &[
                    "the third client's line is echoed",
                    "the program still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client connects and sends a line");
    let program = open(harness)?;
    let first = customer(harness)?;
    harness.claim_serves("the client's line is echoed", &program, &first)?;

    harness.step("a second client does the same while the first is connected");
    let second = customer(harness)?;
    if served_within(harness, NOTICE, &second, "hello")?.is_some() {
        harness.note("serves one client at a time");
    }

    harness.step("the first closes, and a third connects after the second has closed");
    first.must("close")?;
    second.program().kill();
    harness.claim_serves_another("the third client's line is echoed", &program)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
