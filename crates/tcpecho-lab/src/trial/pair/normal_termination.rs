//! Lines go there and back, then the input ends (UNP 5.7).

use super::{exchange, meet};
use crate::side::Side;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &Side::BOTH,
    text: Text {
        name: "normal-termination",
        title: "lines go there and back between the two",
        source: "UNP 5.7",
        question: "Does every line come back, and do both ends part well? Who keeps TIME_WAIT?",
        steps: &[
            Step {
                does: "three lines are typed at the client, each when the one before has come back",
                claims: &[],
            },
            Step {
                does: "the client's input ends",
                claims: &[
                    "the client tells the server so: FIN",
                    "the server closes too: FIN",
                    "the client ends with status 0",
                    "the client has written the three lines, and nothing else",
                    "the server leaves no socket in CLOSE_WAIT",
                    "one end at most keeps TIME_WAIT",
                    "the server goes on",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("three lines are typed at the client, each when the one before has come back");
    let pair = meet(harness)?;
    for line in ["one", "", "three"] {
        exchange(harness, &pair, line)?;
    }

    harness.step("the client's input ends");
    harness.decisive();
    pair.client.ends_input();
    harness.claim_closes("the client tells the server so: FIN", Side::Client, Fault::Hung);
    harness.claim_closes("the server closes too: FIN", Side::Server, Fault::CloseWait);
    harness.claim_ends_well("the client ends with status 0", &pair.client);
    let lines = ["one", "", "three"].map(String::from);
    harness.claim_output("the client has written the three lines, and nothing else", &pair.client, &lines);
    harness.claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    harness.claim_time_wait("one end at most keeps TIME_WAIT");
    harness.claim_runs("the server goes on", &pair.server);
    Ok(())
}
