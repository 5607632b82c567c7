//! A client's FIN and RST have arrived when the program writes (UNP 5.13).

use super::{customer, open};
use crate::impairment::{Action, Matcher, Rule};
use crate::side::Side;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "sigpipe",
        title: "the program writes to a client that has closed",
        source: "UNP 5.13",
        question: "A client sends a line, closes, and resets the connection. Does SIGPIPE kill the \
                   program when it writes?",
        steps: &[
            Step {
                does: "the program is stopped; a client sends a line and closes, and RST follows \
                       its FIN",
                claims: &[
                    "FIN and RST have arrived",
                    "the server's kernel has removed the connection",
                ],
            },
            Step {
                does: "the program continues, and another client connects",
                claims: &[
                    "the other client's line is echoed",
                    "the program still runs",
                    "no zombie is left",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("the program is stopped; a client sends a line and closes, and RST follows its FIN");
    let program = open(harness)?;
    program.process.stop()?;
    let client = customer(harness)?;
    harness.stage.wire_rule(Rule::new(Matcher::fin().from_client(), Action::ResetReceiver).once());
    client.must("line hello")?;
    client.must("close")?;
    harness.claim_packet("FIN and RST have arrived", &Matcher::rst().from_client());
    let gone = harness.comes(super::PATIENCE, || {
        harness.connections_of_any_family(Side::Server).iter().all(|socket| socket.local.port() != harness.stage.port())
    });
    harness.claim("the server's kernel has removed the connection", gone);

    harness.step("the program continues, and another client connects");
    program.process.go_on()?;
    harness.claim_serves_another("the other client's line is echoed", &program)?;
    harness.claim_runs("the program still runs", &program);
    harness.claim_no_zombies("no zombie is left", &program);
    Ok(())
}
