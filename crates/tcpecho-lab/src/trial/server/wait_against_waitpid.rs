//! Five clients close at once: one SIGCHLD for five children (UNP 5.10).

use super::{customer, open};
use crate::stage::Played;
use std::time::Duration;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;
use crate::glances::until;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "wait-against-waitpid",
        title: "five clients close at once",
        source: "UNP 5.10",
        question: "Five children exit while the program is stopped, and it gets one SIGCHLD. Does \
                   it wait for all five?",
        steps: &[
            Step {
                does: "five clients connect, and the first one's line is echoed",
                claims: &[
                    "the first client's line is echoed",
                ],
            },
            Step {
                does: "the program is stopped while all five close, and continues",
                claims: &[
                    "no zombie is left",
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

const CLIENTS: usize = 5;

fn play(harness: &mut Harness) -> Played {
    harness.step("five clients connect, and the first one's line is echoed");
    let program = open(harness)?;
    let clients = (0..CLIENTS).map(|_| customer(harness)).collect::<Result<Vec<_>, _>>()?;
    harness.claim_serves("the first client's line is echoed", &program, &clients[0])?;
    let process = &program.process;
    let children = process.children().len();
    if children > 0 {
        until(Duration::from_secs(2), || process.children().len() >= CLIENTS);
    }
    let children = process.children().len();

    harness.step("the program is stopped while all five close, and continues");
    process.stop()?;
    for client in &clients {
        client.must("close")?;
    }
    if children > 0 {
        until(Duration::from_secs(2), || process.zombies() >= children);
    }
    process.go_on()?;
    harness.claim_no_zombies("no zombie is left", &program);
    harness.claim_no_close_wait("no socket is left in CLOSE_WAIT");

    harness.step("another client connects");
    harness.claim_serves_another("the other client's line is echoed", &program)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
