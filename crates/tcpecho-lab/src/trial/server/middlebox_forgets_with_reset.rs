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
        question: "RST comes while the program waits for a client's next line. Does it survive, \
                   and let go of the connection?",
        steps: &[
            Step {
                does: "a client gets a line back; its next packet is followed by RST",
                claims: &[
                    "a line comes back",
                    "nothing is left of that",
                    "the line comes back",
                    "RST arrives",
                ],
            },
            Step {
                does: "another client comes",
                claims: &[
                    "the line comes back to it",
                    "the program goes on",
                    "no zombie is left",
                    "the dead connection's descriptor is closed",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client gets a line back; its next packet is followed by RST");
    let program = open(harness)?;
    let warm = customer(harness)?;
    harness.claim_serves("a line comes back", &program, &warm)?;
    warm.must("close")?;
    harness.claim_no_close_wait("nothing is left of that");
    let before = settled(&program);
    let client = customer(harness)?;
    harness.claim_serves("the line comes back", &program, &client)?;
    harness.stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetReceiver).once());
    harness.decisive();
    client.must("line again")?;
    harness.claim_packet("RST arrives", &Matcher::rst().from_client());

    harness.step("another client comes");
    harness.claim_serves_another("the line comes back to it", &program)?;
    harness.claim_runs("the program goes on", &program);
    harness.claim_no_zombies("no zombie is left", &program);
    let closed = harness.comes(super::END, || program.process.descriptors() <= before + 1);
    harness.claim_or("the dead connection's descriptor is closed", Fault::Leaked, closed);
    Ok(())
}

/// How many descriptors it has between two clients.
fn settled(program: &super::ProgramUnderTest) -> usize {
    let mut least = program.process.descriptors();
    until(std::time::Duration::from_millis(200), || {
        least = least.min(program.process.descriptors());
        false
    });
    least
}
