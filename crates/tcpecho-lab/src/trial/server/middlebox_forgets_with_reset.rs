//! A middlebox resets an idle connection at the server (RFC 5382 5).

use super::{customer, open};
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;
use crate::glances::until;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "middlebox-forgets-with-reset",
        title: "a middlebox resets an idle connection",
        source: "RFC 5382 5",
        question: "RST arrives while the program waits for a client's next line. Does the program \
                   survive and close the connection?",
        steps: &[
            Step {
                does: "a client's line is echoed; its next packet is followed by RST",
                claims: &[
                    "the line of a client before it is echoed",
                    "no socket is left of that client",
                    "the client's line is echoed",
                    "the RST arrives",
                ],
            },
            Step {
                does: "another client connects",
                claims: &[
                    "the other client's line is echoed",
                    "the program still runs",
                    "no zombie is left",
                    "the descriptor of the reset connection is closed",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client's line is echoed; its next packet is followed by RST");
    let program = open(harness)?;
    let warm = customer(harness)?;
    harness.claim_serves("the line of a client before it is echoed", &program, &warm)?;
    warm.must("close")?;
    harness.claim_no_close_wait("no socket is left of that client");
    let before = settled(&program);
    let client = customer(harness)?;
    harness.claim_serves("the client's line is echoed", &program, &client)?;
    harness.stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetReceiver).once());
    harness.decisive();
    client.must("line again")?;
    harness.claim_packet("the RST arrives", &Matcher::rst().from_client());

    harness.step("another client connects");
    harness.claim_serves_another("the other client's line is echoed", &program)?;
    harness.claim_runs("the program still runs", &program);
    harness.claim_no_zombies("no zombie is left", &program);
    let closed = harness.comes(super::END, || program.process.descriptors() <= before + 1);
    harness.claim_or("the descriptor of the reset connection is closed", Fault::Leaked, closed);
    Ok(())
}

/// The number of its descriptors between two clients.
fn settled(program: &super::ProgramUnderTest) -> usize {
    let mut least = program.process.descriptors();
    until(std::time::Duration::from_millis(200), || {
        least = least.min(program.process.descriptors());
        false
    });
    least
}
