//! A router answers the SYN with an ICMP error: communication administratively prohibited (UNP 4.3).

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
        name: "prohibited-during-connect",
        title: "a firewall refuses the SYN",
        source: "UNP 4.3, RFC 1812 5.2.7.1",
        question: "A firewall reports that the connection is prohibited. Does the program report \
                   an error?",
        steps: &[
            Step {
                does: "a router answers every SYN: communication administratively prohibited",
                claims: &[
                    "the ICMP error arrives",
                    "the program exits with a status other than 0",
                    "the program has written nothing to stdout",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a router answers every SYN: communication administratively prohibited");
    harness.stage.wire_rule(Rule::answer(Matcher::syn(), IcmpError::Prohibited));
    harness.decisive();
    let program = harness.start(Side::Client)?;
    harness.claim_packet("the ICMP error arrives", &Matcher::icmp().from_server());
    harness.claim_fails("the program exits with a status other than 0", &program);
    harness.claim_output("the program has written nothing to stdout", &program, &[]);
    Ok(())
}
