//! A client closes with replies unread: RST in the middle of the transfer (RFC 1122 4.2.2.13).

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
        title: "a client resets in the middle of a transfer",
        source: "RFC 1122 4.2.2.13",
        question: "A client sends 100000 bytes and closes with the replies unread. Does the \
                   program survive the RST?",
        steps: &[
            Step {
                does: "a client sends 100000 bytes; when replies have come it closes without \
                       reading",
                claims: &[
                    "replies come",
                    "the client's kernel sends RST",
                ],
            },
            Step {
                does: "another client comes",
                claims: &[
                    "the line comes back to it",
                    "the program goes on",
                    "no zombie is left",
                    "the server's kernel has forgotten the first",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.stage.two().watch_states(false);
    harness.step("a client sends 100000 bytes; when replies have come it closes without reading");
    let program = open(harness)?;
    let client = customer(harness)?;
    client.must("send 100000 lines")?;
    let reply = harness.delivered(&Matcher::data().from_server(), 0, super::END);
    harness.claim_or("replies come", Fault::Hung, reply.is_ok());
    harness.decisive();
    client.must("close")?;
    harness.claim_packet("the client's kernel sends RST", &Matcher::rst().from_client());

    harness.step("another client comes");
    harness.claim_serves_another("the line comes back to it", &program)?;
    harness.claim_runs("the program goes on", &program);
    harness.claim_no_zombies("no zombie is left", &program);
    let left = harness.comes(super::END, || harness.connections_of_any_family(Side::Server).len() <= 1);
    harness.claim("the server's kernel has forgotten the first", left);
    Ok(())
}
