//! A connection is reset while it waits in the accept queue (UNP 5.11).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::stage::{PATIENCE, Played};
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "abort-before-accept",
        title: "a client resets its connection before the server accepts it",
        source: "UNP 5.11",
        question: "Linux returns a connection from accept that has already been reset. Does the \
                   program survive that and serve the next client?",
        steps: &[
            Step {
                does: "the program is stopped; one client resets its connection at once, another \
                       after it has sent a line",
                claims: &[],
            },
            Step {
                does: "the program continues, and a third client connects",
                claims: &[
                    "the client's line is echoed",
                    "the program still runs",
                    "no zombie is left",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("the program is stopped; one client resets its connection at once, another after it has sent a line");
    let program = open(harness)?;
    program.process.stop()?;
    for line in [None, Some("line hello")] {
        let client = customer(harness)?;
        let mark = harness.stage.two().timeline.mark();
        if let Some(line) = line {
            client.must(line)?;
            harness.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
        }
        client.must("setsockopt linger 0")?;
        client.must("close")?;
        harness.delivered(&Matcher::rst().from_client(), mark, PATIENCE)?;
    }

    harness.step("the program continues, and a third client connects");
    program.process.go_on()?;
    harness.claim_serves_another("the client's line is echoed", &program)?;
    harness.claim_runs("the program still runs", &program);
    harness.claim_no_zombies("no zombie is left", &program);
    Ok(())
}
