//! A router answers the SYN with an ICMP error: host unreachable (UNP 4.3).

use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::side::Side;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "unreachable-during-connect",
        title: "a router refuses the SYN",
        source: "UNP 4.3, RFC 9293 3.9.2.2",
        question: "A router says that the host cannot be reached. Does the program say that it \
                   failed?",
        steps: &[
            Step {
                does: "a router answers every SYN: host unreachable",
                claims: &[
                    "the error arrives",
                    "the program ends, and its status is not 0",
                    "it has written nothing to standard output",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a router answers every SYN: host unreachable");
    harness.stage.wire_rule(Rule::answer(Matcher::syn(), IcmpError::HostUnreachable));
    harness.decisive();
    let program = harness.start(Side::Client)?;
    harness.claim_packet("the error arrives", &Matcher::icmp().from_server());
    harness.claim_fails("the program ends, and its status is not 0", &program);
    harness.claim_output("it has written nothing to standard output", &program, &[]);
    Ok(())
}
