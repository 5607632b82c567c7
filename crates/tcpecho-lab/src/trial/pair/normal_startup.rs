//! A connection is established and carries no data (UNP 5.6).

use super::{Pair, meet};
use crate::side::Side;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &Side::BOTH,
    text: Text {
        name: "normal-startup",
        title: "the client connects to the server",
        source: "UNP 5.6",
        question: "Do client and server connect, wait for input, and close when the input ends?",
        steps: &[
            Step {
                does: "the server is started and listens; the client is started and connects",
                claims: &[
                    "the client is ESTABLISHED",
                    "the server is ESTABLISHED",
                    "the client waits for input",
                ],
            },
            Step {
                does: "the client's input ends without a line",
                claims: &[
                    "the client sends FIN",
                    "the server sends FIN",
                    "the client exits with status 0",
                    "the client has written nothing to stdout",
                    "the server still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("the server is started and listens; the client is started and connects");
    let Pair { client, server } = meet(harness)?;
    harness.claim_established("the client is ESTABLISHED", Side::Client);
    harness.claim_established("the server is ESTABLISHED", Side::Server);
    harness.claim_runs("the client waits for input", &client);

    harness.step("the client's input ends without a line");
    harness.decisive();
    client.ends_input();
    harness.claim_closes("the client sends FIN", Side::Client, Fault::Hung);
    harness.claim_closes("the server sends FIN", Side::Server, Fault::CloseWait);
    harness.claim_ends_well("the client exits with status 0", &client);
    harness.claim_output("the client has written nothing to stdout", &client, &[]);
    harness.claim_runs("the server still runs", &server);
    Ok(())
}
