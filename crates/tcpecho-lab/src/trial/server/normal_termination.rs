//! A client comes and goes (UNP 5.7).

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
        title: "a client comes and goes",
        source: "UNP 5.7",
        question: "The client ends the connection first. Does the program close its end, and is \
                   nothing left?",
        steps: &[
            Step {
                does: "a client connects, sends a line, gets it back and closes",
                claims: &[
                    "the line comes back",
                    "the program closes too: FIN",
                    "no socket is left in CLOSE_WAIT",
                ],
            },
            Step {
                does: "another client comes",
                claims: &[
                    "the line comes back to it",
                    "the program goes on",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client connects, sends a line, gets it back and closes");
    let program = open(harness)?;
    let client = customer(harness)?;
    harness.claim_serves("the line comes back", &program, &client)?;
    client.must("close")?;
    let fin = harness.delivered(&Matcher::fin().from_server(), 0, super::END);
    harness.claim_or("the program closes too: FIN", Fault::CloseWait, fin.is_ok());
    harness.claim_no_close_wait("no socket is left in CLOSE_WAIT");
    let reset = harness.stage.count(&Matcher::rst().from(Side::Server));
    if reset > 0 {
        harness.note("ended the connection with RST");
    }

    harness.step("another client comes");
    harness.claim_serves_another("the line comes back to it", &program)?;
    harness.claim_runs("the program goes on", &program);
    Ok(())
}
