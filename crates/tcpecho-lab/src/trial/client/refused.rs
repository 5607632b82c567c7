//! No server listens (UNP 4.3).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "refused",
        title: "no server listens",
        source: "UNP 4.3",
        question: "RST answers the SYN. Does the program report an error?",
        steps: &[
            Step {
                does: "the program is started, and no server listens on the port",
                claims: &[
                    "RST answers the SYN",
                    "the program exits with a status other than 0",
                    "the program has written nothing to stdout",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("the program is started, and no server listens on the port");
    harness.decisive();
    let program = harness.start(Side::Client)?;
    harness.claim_packet("RST answers the SYN", &Matcher::rst().from_server());
    harness.claim_fails("the program exits with a status other than 0", &program);
    harness.claim_output("the program has written nothing to stdout", &program, &[]);
    Ok(())
}
