//! A client's host crashes, reboots, and connects again from the same port (RFC 9293 3.5.1).

use super::open;
use crate::side::Side;
use crate::stage::{Agent, Broken, Played};
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "client-host-crashes-and-returns",
        title: "a client's host crashes and connects again from the same port",
        source: "UNP 5.15, RFC 9293 3.5.1",
        question: "The program still holds the old connection when the same client connects again. \
                   Is the client served?",
        steps: &[
            Step {
                does: "a client connects from port 40000, and its line is echoed; its host loses \
                       power and boots",
                claims: &[
                    "the client's line is echoed",
                    "the program still runs, because it cannot know",
                    "the server's kernel still has the connection",
                ],
            },
            Step {
                does: "the client connects again from the same port",
                claims: &[
                    "the new connection's line is echoed",
                    "the program still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client connects from port 40000, and its line is echoed; its host loses power and boots");
    let program = open(harness)?;
    let old = from_the_same_port(harness)?;
    harness.claim_serves("the client's line is echoed", &program, &old)?;
    harness.stage.two_mut().client.power_off();
    harness.claim_runs("the program still runs, because it cannot know", &program);
    let before = harness.connections_of_any_family(Side::Server).len();
    harness.claim("the server's kernel still has the connection", before == 1);
    harness.stage.two_mut().client.reboot()?;

    harness.step("the client connects again from the same port");
    let new = from_the_same_port(harness)?;
    harness.claim_serves("the new connection's line is echoed", &program, &new)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}

fn from_the_same_port(harness: &Harness) -> Result<Agent, Broken> {
    let client = harness.stage.client()?;
    client.must(&format!("bind {} 40000", Side::Client.address(harness.stage.family())))?;
    client.must(&harness.stage.connect_line())?;
    Ok(client)
}
