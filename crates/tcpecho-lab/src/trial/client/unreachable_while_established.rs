//! A router answers data with an ICMP error until the kernel gives up (UNP 5.14).

use std::time::Duration;

use super::{exchange, meet};
use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "unreachable-while-established",
        title: "a router refuses a connection's data",
        source: "UNP 5.14, A.5",
        question: "A router says for a while, then for good, that the host cannot be reached. Does \
                   the program bear the one and notice the other?",
        steps: &[
            Step {
                does: "a line goes there and back; a router cannot reach the server's host for one \
                       packet",
                claims: &[
                    "the program goes on: the error is soft",
                ],
            },
            Step {
                does: "now it is for good, and the kernel is told to give up soon",
                claims: &[
                    "the program ends, and its status is not 0",
                    "the lines that came back were written, and nothing else",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line goes there and back; a router cannot reach the server's host for one packet");
    harness.stage.two().client.set_rto_min(Duration::from_millis(20))?;
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    let data = Matcher::data().from_client();
    harness.stage.wire_rule(Rule::answer(data.clone(), IcmpError::HostUnreachable).once());
    exchange(harness, &program, &server, "two")?;
    harness.claim_runs("the program goes on: the error is soft", &program);

    harness.step("now it is for good, and the kernel is told to give up soon");
    harness.stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    harness.stage.wire_rule(Rule::answer(data, IcmpError::HostUnreachable));
    harness.decisive();
    program.types("three");
    harness.claim_fails("the program ends, and its status is not 0", &program);
    let lines = ["one", "two"].map(String::from);
    harness.claim_output("the lines that came back were written, and nothing else", &program, &lines);
    Ok(())
}
