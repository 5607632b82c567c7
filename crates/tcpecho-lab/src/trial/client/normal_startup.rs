//! A connection comes about, and nothing else happens (UNP 5.6).

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
        question: "Does the program connect when it is started, wait for input, and end well when \
                   there is none?",
        steps: &[
            Step {
                does: "the program is started and connects to a server of the lab's",
                claims: &[
                    "it is ESTABLISHED",
                    "it waits for input",
                ],
            },
            Step {
                does: "its input ends, with nothing in it",
                claims: &[
                    "it tells the server so: FIN",
                ],
            },
            Step {
                does: "the server closes too",
                claims: &[
                    "the program ends with status 0",
                    "it has written nothing to standard output",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("the program is started and connects to a server of the lab's");
    let (program, server) = meet(harness)?;
    harness.stage.claim_state("it is ESTABLISHED", Side::Client, TcpState::Established);
    harness.claim_runs("it waits for input", &program);

    harness.step("its input ends, with nothing in it");
    harness.decisive();
    program.ends_input();
    let fin = harness.delivered(&Matcher::fin().from_client(), 0, super::END);
    harness.claim_or("it tells the server so: FIN", Fault::Hung, fin.is_ok());

    harness.step("the server closes too");
    server.must("close")?;
    harness.claim_ends_well("the program ends with status 0", &program);
    harness.claim_output("it has written nothing to standard output", &program, &[]);
    Ok(())
}
