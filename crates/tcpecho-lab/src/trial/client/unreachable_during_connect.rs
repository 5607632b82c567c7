//! A router answers the SYN with an ICMP error: host unreachable (UNP 4.3).

use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::side::Side;
use crate::stage::{Played, Stage};

trial! {
    "unreachable-during-connect", "a router refuses the SYN", "UNP 4.3, RFC 9293 3.9.2.2",
    "A router says that the host cannot be reached. Does the program say that it failed?",
    "unreachable_during_connect.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a router answers every SYN: host unreachable");
    stage.wire_rule(Rule::answer(Matcher::syn(), IcmpError::HostUnreachable));
    stage.decisive();
    let stranger = stage.stranger(Side::Client)?;
    stage.claim_packet("the error arrives", &Matcher::icmp().from_server());
    stage.claim_fails("the program ends, and its status is not 0", &stranger);
    stage.claim_output("it has written nothing to standard output", &stranger, &[]);
    Ok(())
}
