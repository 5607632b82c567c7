//! A client closes, and the child that served it, if there is one, exits (UNP 5.8).

use super::{customer, open};
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "zombies-without-handler",
        title: "a client's child exits",
        source: "UNP 5.8",
        question: "If the program has a child for each client, does it wait for those that have \
                   exited?",
        steps: &[
            Step {
                does: "two clients connect and close, one after the other",
                claims: &[
                    "the client's line is echoed",
                    "the connection is closed at the server, too",
                    "no zombie is left",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("two clients connect and close, one after the other");
    let program = open(harness)?;
    let mut childless = true;
    for _ in 0..2 {
        let client = customer(harness)?;
        harness.claim_serves("the client's line is echoed", &program, &client)?;
        childless &= program.process.children().is_empty();
        client.must("close")?;
        harness.claim_no_close_wait("the connection is closed at the server, too");
    }
    if childless {
        harness.note("has no child for a client");
    }
    harness.claim_no_zombies("no zombie is left", &program);
    Ok(())
}
