//! A router answers data with an ICMP error until the kernel gives up (UNP 5.14).

use std::time::Duration;

use super::{exchange, meet};
use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::stage::{Played, Stage};

trial! {
    "unreachable-while-established", "a router refuses a connection's data", "UNP 5.14, A.5",
    "A router says for a while, then for good, that the host cannot be reached. Does the program bear the one and notice the other?",
    "unreachable_while_established.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back; a router cannot reach the server's host for one packet");
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    let (stranger, server) = meet(stage)?;
    exchange(stage, &stranger, &server, "one")?;
    let data = Matcher::data().from_client();
    stage.wire_rule(Rule::answer(data.clone(), IcmpError::HostUnreachable).once());
    exchange(stage, &stranger, &server, "two")?;
    stage.claim_runs("the program goes on: the error is soft", &stranger);

    stage.step("now it is for good, and the kernel is told to give up soon");
    stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    stage.wire_rule(Rule::answer(data, IcmpError::HostUnreachable));
    stage.decisive();
    stranger.types("three");
    stage.claim_fails("the program ends, and its status is not 0", &stranger);
    let lines = ["one", "two"].map(String::from);
    stage.claim_output("the lines that came back were written, and nothing else", &stranger, &lines);
    Ok(())
}
