//! Nobody listens (UNP 4.3).

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
        title: "nobody listens",
        source: "UNP 4.3",
        question: "RST answers the SYN. Does the program say that it failed?",
        steps: &[
            Step {
                does: "the program is started; nobody listens on the port",
                claims: &[
                    "RST answers",
                    "the program ends, and its status is not 0",
                    "it has written nothing to standard output",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("the program is started; nobody listens on the port");
    harness.decisive();
    let program = harness.start(Side::Client)?;
    harness.claim_packet("RST answers", &Matcher::rst().from_server());
    harness.claim_fails("the program ends, and its status is not 0", &program);
    harness.claim_output("it has written nothing to standard output", &program, &[]);
    Ok(())
}
