//! The program is restarted while connections of the old process are in TIME_WAIT (UNP 7.5, SO_REUSEADDR).

use super::{customer, listens, open};
use crate::side::Side;
use crate::stage::{PATIENCE, Played};
use crate::trial::{Fault, Trial};
use rustix::process::Signal;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "bind-in-use-by-time-wait",
        title: "the program is restarted at once",
        source: "UNP 7.5",
        question: "The program exits first, so its host keeps TIME_WAIT. Can it listen on the same \
                   port again?",
        steps: &[
            Step {
                does: "a client's line is echoed; the program gets SIGTERM, then the client closes",
                claims: &[
                    "the client's line is echoed",
                    "no socket listens any more",
                ],
            },
            Step {
                does: "the program is started again",
                claims: &[
                    "the program listens again",
                    "a line is echoed",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client's line is echoed; the program gets SIGTERM, then the client closes");
    let program = open(harness)?;
    let client = customer(harness)?;
    harness.claim_serves("the client's line is echoed", &program, &client)?;
    let _ = program.process.signal(Signal::TERM);
    let fin = crate::impairment::Matcher::fin().from_server();
    // A child may have kept the connection; then it closes second, and no TIME_WAIT stays.
    let _ = harness.delivered(&fin, 0, std::time::Duration::from_millis(500));
    client.must("close")?;
    if program.process.wait(super::END).is_err() {
        program.process.kill();
        harness.note("did not exit on SIGTERM and was killed");
    }
    let closed = harness.comes(PATIENCE, || !listens(harness));
    harness.claim("no socket listens any more", closed);
    let left = harness.connections_of_any_family(Side::Server);
    if left.is_empty() {
        harness.note("left no connection in TIME_WAIT");
    }

    harness.step("the program is started again");
    let again = harness.start(Side::Server)?;
    let up = harness.comes(super::END, || listens(harness) || again.process.exit().is_some());
    harness.claim_or("the program listens again", Fault::InUse, up && listens(harness));
    if listens(harness) {
        harness.claim_serves_another("a line is echoed", &again)?;
    }
    Ok(())
}
