//! A connection is established and carries no data (UNP 5.6).

use super::meet;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use tcpecho_os::tcp_state::TcpState;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "normal-startup",
        title: "the program connects",
        source: "UNP 5.6",
        question: "Does the program connect when it starts, wait for input, and exit with 0 when \
                   the input ends?",
        steps: &[
            Step {
                does: "the program is started and connects to a server of the lab",
                claims: &[
                    "the program's connection is ESTABLISHED",
                    "the program waits for input",
                ],
            },
            Step {
                does: "its input ends without a line",
                claims: &[
                    "the program sends FIN",
                ],
            },
            Step {
                does: "the server closes too",
                claims: &[
                    "the program exits with status 0",
                    "the program has written nothing to stdout",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("the program is started and connects to a server of the lab");
    let (program, server) = meet(harness)?;
    harness.stage.claim_state("the program's connection is ESTABLISHED", Side::Client, TcpState::Established);
    harness.claim_runs("the program waits for input", &program);

    harness.step("its input ends without a line");
    harness.decisive();
    program.ends_input();
    let fin = harness.delivered(&Matcher::fin().from_client(), 0, super::END);
    harness.claim_or("the program sends FIN", Fault::Hung, fin.is_ok());

    harness.step("the server closes too");
    server.must("close")?;
    harness.claim_ends_well("the program exits with status 0", &program);
    harness.claim_output("the program has written nothing to stdout", &program, &[]);
    Ok(())
}
