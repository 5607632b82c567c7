//! A router answers the SYN with an ICMP error: communication administratively prohibited (UNP 4.3).

use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::side::Side;
use crate::stage::{Played, Stage};

trial! {
    "prohibited-during-connect", "a firewall refuses the SYN", "UNP 4.3, RFC 1812 5.2.7.1",
    "A firewall says that this is prohibited. Does the program say that it failed?",
    "prohibited_during_connect.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a router answers every SYN: communication administratively prohibited");
    stage.wire_rule(Rule::answer(Matcher::syn(), IcmpError::Prohibited));
    stage.decisive();
    let stranger = stage.stranger(Side::Client)?;
    stage.claim_packet("the error arrives", &Matcher::icmp().from_server());
    stage.claim_fails("the program ends, and its status is not 0", &stranger);
    stage.claim_output("it has written nothing to standard output", &stranger, &[]);
    Ok(())
}
