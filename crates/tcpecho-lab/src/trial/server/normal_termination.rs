//! A client connects and closes (UNP 5.7).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "normal-termination",
        title: "a client connects and closes",
        source: "UNP 5.7",
        question: "The client closes first. Does the program close its end, and is nothing left?",
        steps: &[
            Step {
                does: "a client connects, sends a line, reads the echo, and closes",
                claims: &[
                    "the client's line is echoed",
                    "the program sends FIN",
                    "no socket is left in CLOSE_WAIT",
                ],
            },
            Step {
                does: "another client connects",
                claims: &[
                    "the other client's line is echoed",
                    "the program still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client connects, sends a line, reads the echo, and closes");
    let program = open(harness)?;
    let client = customer(harness)?;
    harness.claim_serves("the client's line is echoed", &program, &client)?;
    client.must("close")?;
    let fin = harness.delivered(&Matcher::fin().from_server(), 0, super::END);
    harness.claim_or("the program sends FIN", Fault::CloseWait, fin.is_ok());
    harness.claim_no_close_wait("no socket is left in CLOSE_WAIT");
    let reset = harness.stage.count(&Matcher::rst().from(Side::Server));
    if reset > 0 {
        harness.note("ended the connection with RST");
    }

    harness.step("another client connects");
    harness.claim_serves_another("the other client's line is echoed", &program)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
