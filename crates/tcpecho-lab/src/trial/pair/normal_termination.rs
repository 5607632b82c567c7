//! Lines are echoed, then the input ends (UNP 5.7).

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
        title: "lines are echoed between client and server",
        source: "UNP 5.7",
        question: "Is every line written, and do both ends close? Which end keeps TIME_WAIT?",
        steps: &[
            Step {
                does: "three lines are typed at the client, each after the one before has been \
                       echoed",
                claims: &[],
            },
            Step {
                does: "the client's input ends",
                claims: &[
                    "the client sends FIN",
                    "the server sends FIN",
                    "the client exits with status 0",
                    "the client has written the three lines and nothing else",
                    "the server leaves no socket in CLOSE_WAIT",
                    "at most one end keeps TIME_WAIT",
                    "the server still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("three lines are typed at the client, each after the one before has been echoed");
    let pair = meet(harness)?;
    for line in ["one", "", "three"] {
        exchange(harness, &pair, line)?;
    }

    harness.step("the client's input ends");
    harness.decisive();
    pair.client.ends_input();
    harness.claim_closes("the client sends FIN", Side::Client, Fault::Hung);
    harness.claim_closes("the server sends FIN", Side::Server, Fault::CloseWait);
    harness.claim_ends_well("the client exits with status 0", &pair.client);
    let lines = ["one", "", "three"].map(String::from);
    harness.claim_output("the client has written the three lines and nothing else", &pair.client, &lines);
    harness.claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    harness.claim_time_wait("at most one end keeps TIME_WAIT");
    harness.claim_runs("the server still runs", &pair.server);
    Ok(())
}
