//! A client closes with unread replies: RST in the middle of the transfer (RFC 1122 4.2.2.13).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "close-with-unread-data",
        title: "a client resets the connection in the middle of a transfer",
        source: "RFC 1122 4.2.2.13",
        question: "A client sends 100000 bytes and closes with unread replies. Does the program \
                   survive the RST?",
        steps: &[
            Step {
                does: "a client sends 100000 bytes; when replies have arrived, it closes without \
                       reading them",
                claims: &[
                    "replies arrive at the client",
                    "the client's kernel sends RST",
                ],
            },
            Step {
                does: "another client connects",
                claims: &[
                    "the client's line is echoed",
                    "the program still runs",
                    "no zombie is left",
                    "the server's kernel has removed the first connection",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.stage.two().watch_states(false);
    harness.step("a client sends 100000 bytes; when replies have arrived, it closes without reading them");
    let program = open(harness)?;
    let client = customer(harness)?;
    client.must("send 100000 lines")?;
    let reply = harness.delivered(&Matcher::data().from_server(), 0, super::END);
    harness.claim_or("replies arrive at the client", Fault::Hung, reply.is_ok());
    harness.decisive();
    client.must("close")?;
    harness.claim_packet("the client's kernel sends RST", &Matcher::rst().from_client());

    harness.step("another client connects");
    harness.claim_serves_another("the client's line is echoed", &program)?;
    harness.claim_runs("the program still runs", &program);
    harness.claim_no_zombies("no zombie is left", &program);
    let left = harness.comes(super::END, || harness.connections_of_any_family(Side::Server).len() <= 1);
    harness.claim("the server's kernel has removed the first connection", left);
    Ok(())
}
