//! Both ends connect, and nobody listens (RFC 9293 3.5, figure 8).

use super::Scenario;
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{PATIENCE, PORT, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "simultaneous-open",
        title: "both ends connect to each other",
        source: "UNP 2.6, RFC 9293 3.5",
        question: "Can there be a connection without anybody listening?",
        book: "Two SYNs may cross; then both ends go through SYN_RCVD, and one connection comes of \
               it, not two. It is possible and rare.",
        kernel: "It works: both calls of connect return 0, both ends were in SYN_SENT and in \
                 SYN_RECV, four segments are exchanged, and no socket ever listened.",
        timers: &[],
        steps: &[
            Step {
                does: "both ends connect to the port of the other, and the wire keeps the SYNs",
                claims: &[
                    "one end is in SYN_SENT",
                    "so is the other",
                ],
            },
            Step {
                does: "the SYNs cross, and the wire keeps what answers them",
                claims: &[
                    "one end is in SYN_RECV",
                    "so is the other",
                ],
            },
            Step {
                does: "the SYN-ACKs cross",
                claims: &[
                    "connect returns at one end",
                    "and at the other",
                    "one end is ESTABLISHED",
                    "so is the other",
                ],
            },
            Step {
                does: "each says something",
                claims: &[
                    "one end reads what the other wrote",
                    "and the other what the one wrote",
                    "nobody sent a RST",
                ],
            },
        ],
    },
    play,
};

/// The port at the client's end; both have to be known beforehand.
const OTHER_PORT: u16 = 7000;

fn play(stage: &mut Stage) -> Played {
    stage.step("both ends connect to the port of the other, and the wire keeps the SYNs");
    let ports = [OTHER_PORT, PORT];
    stage.wire_rule(Rule::hold(Matcher::syn()));
    let [left, right] = [Side::Client, Side::Server];
    let mut actors = Vec::new();
    for (side, port, other) in [(left, ports[0], ports[1]), (right, ports[1], ports[0])] {
        let actor = stage.actor(side)?;
        actor.must(&format!("socket {}", stage.number()))?;
        actor.must(&format!("bind {} {port}", stage.family().any()))?;
        actor.begin(&format!("connect {} {other}", side.other().address(stage.family())))?;
        stage.two().wire.wait_for(&Matcher::syn().from(side), 0, PATIENCE)?;
        actors.push(actor);
    }
    stage.claim_state("one end is in SYN_SENT", left, TcpState::SynSent);
    stage.claim_state("so is the other", right, TcpState::SynSent);

    stage.step("the SYNs cross, and the wire keeps what answers them");
    // All of it: a SYN that was sent twice would be answered by an ACK, which completes the handshake.
    stage.wire_rule(Rule::hold(Matcher::any()));
    for side in [left, right] {
        let syn = stage.two().wire.wait_for(&Matcher::syn().from(side), 0, PATIENCE)?;
        stage.two().wire.release(syn.number);
    }
    stage.two().wire.discard(&Matcher::syn());
    for side in [left, right] {
        stage.two().wire.wait_for(&Matcher::syn_ack().from(side), 0, PATIENCE)?;
    }
    stage.claim_state("one end is in SYN_RECV", left, TcpState::SynRecv);
    stage.claim_state("so is the other", right, TcpState::SynRecv);

    stage.step("the SYN-ACKs cross");
    stage.two().wire.clear();
    stage.two().wire.release_all(&Matcher::any());
    stage.claim_is("connect returns at one end", &actors[0].outcome()?, "ok");
    stage.claim_is("and at the other", &actors[1].outcome()?, "ok");
    stage.claim_state("one end is ESTABLISHED", left, TcpState::Established);
    stage.claim_state("so is the other", right, TcpState::Established);

    stage.step("each says something");
    for actor in &actors {
        actor.must("send hello")?;
    }
    stage.claim_is("one end reads what the other wrote", &actors[0].call("recv 100")?, "ok 5 hello");
    stage.claim_is("and the other what the one wrote", &actors[1].call("recv 100")?, "ok 5 hello");
    stage.claim("nobody sent a RST", stage.count(&Matcher::rst()) == 0);
    Ok(())
}
