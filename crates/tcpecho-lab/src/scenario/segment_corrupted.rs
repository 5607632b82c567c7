//! What the checksum notices, and what it does not (RFC 9293 3.1).

use std::time::Duration;

use super::Scenario;
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::{Played, Stage};
use crate::text::{Step, Text};
use crate::timeline::Verdict;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "segment-corrupted",
        title: "a bit falls over on the way",
        source: "UNP 2.4, RFC 9293 3.1, RFC 1071",
        question: "Can wrong data arrive over TCP?",
        book: "Every segment has a checksum, and one that does not fit is dropped without a word; \
               the sender's timer sends it again.",
        kernel: "The same; the kernel counts it (Tcp InCsumErrors). But the checksum is a sum of \
                 16 bits that anything on the way may compute anew: what breaks inside a router or \
                 an address translator arrives as good data.",
        timers: &[],
        steps: &[
            Step {
                does: "a bit of a segment falls over on the wire; the smallest timeout is 200 ms",
                claims: &[
                    "the server reads what was sent",
                    "although it was wrong when it arrived",
                    "for it was sent again",
                    "the server's kernel counts a wrong checksum",
                    "nobody sent a RST",
                ],
            },
            Step {
                does: "a bit falls over in a router, which then computes the checksum of what it \
                       has",
                claims: &[
                    "the server reads wrong data, and nobody notices",
                    "nothing more is counted",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a bit of a segment falls over on the wire; the smallest timeout is 200 ms");
    stage.two().client.set_rto_min(Duration::from_millis(200))?;
    let (client, server) = stage.connected()?;
    let message = Matcher::data().from_client().containing("hello");
    stage.wire_rule(Rule::new(message.clone(), Action::Corrupt).once());
    client.must("send hello")?;
    let read = server.call("recv 100")?;
    stage.claim_is("the server reads what was sent", &read, "ok 5 hello");
    let corrupted = stage.any_verdict(Verdict::Corrupted);
    stage.claim("although it was wrong when it arrived", corrupted);
    stage.claim("for it was sent again", stage.count(&message) >= 2);
    let errors = stage.two().server.counter("Tcp.InCsumErrors")?;
    stage.claim_is("the server's kernel counts a wrong checksum", &errors.to_string(), "1");
    stage.claim("nobody sent a RST", stage.count(&Matcher::rst()) == 0);

    stage.step("a bit falls over in a router, which then computes the checksum of what it has");
    let message = Matcher::data().from_client().containing("money");
    stage.wire_rule(Rule::new(message, Action::CorruptUnnoticed).once());
    client.must("send money: 9")?;
    let read = server.call("recv 100")?;
    stage.claim_is("the server reads wrong data, and nobody notices", &read, "ok 8 money: 8");
    let errors = stage.two().server.counter("Tcp.InCsumErrors")?;
    stage.claim_is("nothing more is counted", &errors.to_string(), "1");
    Ok(())
}
