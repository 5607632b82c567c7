//! A router answers the SYN with an ICMP error: communication administratively prohibited (UNP 4.3).

use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::side::Side;

trial! { CLIENT, harness;
    name: "prohibited-during-connect",
    group: Some(crate::text::Group::Path),
    title: "a firewall rejects the SYN",
    source: "UNP 4.3, RFC 1812 5.2.7.1",
    question: "A firewall reports that the connection is prohibited. Does the program report \
               an error?";

    step "a router answers every SYN: communication administratively prohibited";
    harness.stage.wire_rule(Rule::answer(Matcher::syn(), IcmpError::Prohibited));
    harness.decisive();
    let program = harness.start(Side::Client)?;
    claim_packet("the ICMP error arrives", &Matcher::icmp().from_server());
    claim_fails("the program exits with a status other than 0", &program);
    claim_no_output("the program has written nothing to stdout", &program);
}
