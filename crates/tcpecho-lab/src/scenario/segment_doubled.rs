//! A segment that arrives twice is read once (RFC 9293 3.4, RFC 2883).

use super::Scenario;
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::{Played, Stage};
use crate::text::{Step, Text};
use crate::timeline::Verdict;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "segment-doubled",
        title: "a segment arrives twice",
        source: "UNP 2.4, RFC 2883",
        question: "Does a program see data twice when the network delivers it twice?",
        book: "TCP numbers every byte; the receiver discards what it has already.",
        kernel: "The same, and the receiver tells the sender of it: an acknowledgment whose SACK \
                 block lies below its acknowledgment number (D-SACK).",
        timers: &[],
        steps: &[
            Step {
                does: "the client sends a segment, and the wire delivers it twice",
                claims: &[
                    "the server's kernel tells the client's of it with a D-SACK",
                    "it was sent once and arrived twice",
                    "the server's kernel counts it",
                ],
            },
            Step {
                does: "the client sends another, and the server reads",
                claims: &[
                    "it reads the first",
                    "what comes next is the other",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the client sends a segment, and the wire delivers it twice");
    let (client, server) = stage.connected()?;
    stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::Duplicate).once());
    client.must("send once")?;
    let below = Matcher::ack().from_server().matching("with D-SACK", |_, packet| {
        packet.tcp().is_some_and(|tcp| {
            tcp.sack.first().is_some_and(|(_, right)| tcp.ack.wrapping_sub(*right) < 1 << 31)
        })
    });
    stage.claim_packet("the server's kernel tells the client's of it with a D-SACK", &below);
    stage.claim("it was sent once and arrived twice", stage.any_verdict(Verdict::Duplicated));
    let told = stage.two().server.counter("TcpExt.TCPDSACKOldSent")?;
    stage.claim("the server's kernel counts it", told >= 1);

    stage.step("the client sends another, and the server reads");
    stage.claim_is("it reads the first", &server.call("recv 100")?, "ok 4 once");
    client.must("send another")?;
    stage.claim_is("what comes next is the other", &server.call("recv 100")?, "ok 7 another");
    Ok(())
}
