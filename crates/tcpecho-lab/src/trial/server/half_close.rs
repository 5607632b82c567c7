//! A client sends much data, shuts down its writing half, and then reads (UNP 6.6).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "half-close",
        title: "a client shuts down its writing half and then reads",
        source: "UNP 6.6",
        question: "100000 bytes and FIN arrive before the client reads anything. Does the client \
                   get all of them, and then the program's FIN?",
        steps: &[
            Step {
                does: "a client sends 100000 bytes and shuts down its writing half",
                claims: &[
                    "all bytes are echoed, then end of file",
                    "no RST was sent",
                    "no socket is left in CLOSE_WAIT",
                    "the program still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.stage.two().watch_states(false);
    harness.step("a client sends 100000 bytes and shuts down its writing half");
    let program = open(harness)?;
    let client = customer(harness)?;
    client.must("send 100000 lines")?;
    client.must("shutdown wr")?;
    harness.claim_comes_back("all bytes are echoed, then end of file", &program, &client, 100_000)?;
    harness.claim("no RST was sent", harness.stage.count(&Matcher::rst()) == 0);
    harness.claim_no_close_wait("no socket is left in CLOSE_WAIT");
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
