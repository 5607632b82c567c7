//! The program gets SIGTERM while a client is connected (UNP 5.16).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use rustix::process::Signal;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "operator-shutdown",
        title: "the program gets SIGTERM",
        source: "UNP 5.16",
        question: "A client is connected and idle. Does the program exit on SIGTERM, and what does \
                   the client see?",
        steps: &[
            Step {
                does: "a client's line is echoed, and the client stays; the program gets SIGTERM",
                claims: &[
                    "the client's line is echoed",
                    "the program exits",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client's line is echoed, and the client stays; the program gets SIGTERM");
    let program = open(harness)?;
    let client = customer(harness)?;
    harness.claim_serves("the client's line is echoed", &program, &client)?;
    harness.decisive();
    program.process.signal(Signal::TERM)?;
    let ended = program.process.wait(super::END);
    harness.claim_or("the program exits", Fault::Hung, ended.is_ok());
    client.begin("poll 1000 in")?;
    let said = client.outcome()?;
    let reset = harness.stage.count(&Matcher::rst().from_server()) > 0;
    harness.note(match said.as_str() {
        "ok 0x0" => "the idle client stays connected to a child",
        _ if reset => "the idle client got RST",
        _ => "the idle client got FIN",
    });
    Ok(())
}
