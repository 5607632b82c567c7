//! A router answers the SYN with an ICMP error: host unreachable (UNP 4.3).

use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::side::Side;

trial! { CLIENT, harness;
    name: "unreachable-during-connect",
    title: "a router answers the SYN with an ICMP error",
    source: "UNP 4.3, RFC 9293 3.9.2.2",
    question: "A router reports that the host is unreachable. Does the program report an \
               error?";

    step "a router answers every SYN: host unreachable";
    harness.stage.wire_rule(Rule::answer(Matcher::syn(), IcmpError::HostUnreachable));
    harness.decisive();
    let program = harness.start(Side::Client)?;
    claim_packet("the ICMP error arrives", &Matcher::icmp().from_server());
    claim_fails("the program exits with a status other than 0", &program);
    claim_no_output("the program has written nothing to stdout", &program);
}
