//! Fifty clients connect and close, and the program must keep nothing of them.

use super::{customer, open, served};
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;
use crate::glances::until;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "many-clients",
        title: "fifty clients connect and close",
        source: "UNP 5.9, 30",
        question: "Does the program have more descriptors, zombies or sockets in CLOSE_WAIT than \
                   before?",
        steps: &[
            Step {
                does: "two clients connect and close, then the program's descriptors are counted",
                claims: &[
                    "no socket is left in CLOSE_WAIT",
                    "no zombie is left",
                ],
            },
            Step {
                does: "fifty more clients connect and close",
                claims: &[
                    "every client's line is echoed",
                    "no socket is left in CLOSE_WAIT after them",
                    "no zombie is left after them",
                    "no descriptor is left",
                    "the program still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("two clients connect and close, then the program's descriptors are counted");
    let program = open(harness)?;
    for _ in 0..2 {
        come_and_go(harness)?;
    }
    harness.claim_no_close_wait("no socket is left in CLOSE_WAIT");
    harness.claim_no_zombies("no zombie is left", &program);
    let mut before = program.process.descriptors();
    until(std::time::Duration::from_millis(200), || {
        before = before.min(program.process.descriptors());
        false
    });

    harness.step("fifty more clients connect and close");
    let mut unserved = None;
    for _ in 0..50 {
        unserved = unserved.or(come_and_go(harness)?);
    }
    harness.claim_without("every client's line is echoed", unserved);
    harness.claim_no_close_wait("no socket is left in CLOSE_WAIT after them");
    harness.claim_no_zombies("no zombie is left after them", &program);
    harness.claim_no_descriptors("no descriptor is left", &program, before);
    harness.claim_runs("the program still runs", &program);
    Ok(())
}

fn come_and_go(harness: &Harness) -> Result<Option<(crate::trial::Fault, String)>, crate::stage::Broken> {
    let client = customer(harness)?;
    let fault = served(harness, &client, "hello")?;
    client.end()?;
    Ok(fault)
}
