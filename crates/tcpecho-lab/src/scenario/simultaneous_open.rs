//! Both ends connect, and neither listens (RFC 9293 3.5, figure 7).

use crate::impairment::{Matcher, Rule};
use crate::packet::Flags;
use crate::side::Side;
use crate::stage::{PATIENCE, PORT};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "simultaneous-open",
    group: Some(Group::Startup),
    title: "both ends connect to each other",
    source: "UNP 2.6, RFC 9293 3.5",
    question: "Can a connection be established without a listening socket?",
    book: &[
        (
            "Two SYNs may cross; this is possible and rare.",
            &[Book("2.6")],
        ),
        (
            "Then both ends go through SYN_RECV, and one connection results, not two.",
            &[Rfc(9293, "3.5")],
        ),
    ],
    kernel: &[
        (
            "Yes. Both calls of connect return 0, both ends go through SYN_SENT and SYN_RECV, \
             four segments with SYN are exchanged, and no socket listens.",
            &[
                Measured("connect returns at the client"),
                Measured("connect returns at the server"),
                Measured("the client is in SYN_RECV"),
                Measured("the server is in SYN_RECV"),
                Measured("four segments with SYN opened the connection"),
            ],
        ),
    ];

    step "both ends connect to the port of the other, and the wire holds the SYNs";
    let ports = [OTHER_PORT, PORT];
    stage.wire_rule(Rule::hold(Matcher::syn()));
    let [left, right] = [Side::Client, Side::Server];
    let mut agents = Vec::new();
    for (side, port, other) in [(left, ports[0], ports[1]), (right, ports[1], ports[0])] {
        let agent = stage.agent(side)?;
        agent.must(&format!("socket {}", stage.number()))?;
        agent.must(&format!("bind {} {port}", stage.family().any()))?;
        agent.begin(&format!("connect {} {other}", side.other().address(stage.family())))?;
        stage.two().wire.wait_for(&Matcher::syn().from(side), 0, PATIENCE)?;
        agents.push(agent);
    };
    claim_state("the client is in SYN_SENT", left, TcpState::SynSent);
    claim_state("the server is in SYN_SENT", right, TcpState::SynSent);

    step "the SYNs are released, and the wire holds the answers";
    // Everything: a retransmitted SYN would be answered by an ACK, which completes the handshake.
    stage.wire_rule(Rule::hold(Matcher::any()));
    for side in [left, right] {
        let syn = stage.two().wire.wait_for(&Matcher::syn().from(side), 0, PATIENCE)?;
        stage.two().wire.release(syn.number);
    };
    stage.two().wire.discard(&Matcher::syn());
    for side in [left, right] {
        stage.two().wire.wait_for(&Matcher::syn_ack().from(side), 0, PATIENCE)?;
    };
    claim_state("the client is in SYN_RECV", left, TcpState::SynRecv);
    claim_state("the server is in SYN_RECV", right, TcpState::SynRecv);

    step "the SYN-ACKs are released";
    stage.two().wire.clear();
    stage.two().wire.release_all(&Matcher::any());
    claim_is("connect returns at the client", &agents[0].outcome()?, "ok");
    claim_is("connect returns at the server", &agents[1].outcome()?, "ok");
    // Of retransmissions that a slow machine causes, each sequence number counts once.
    let mut opening: Vec<_> = stage
        .packets()
        .into_iter()
        .filter_map(|seen| Some((seen.from.index(), seen.packet.tcp()?.clone())))
        .filter(|(_, tcp)| tcp.flags.has(Flags::SYN))
        .map(|(from, tcp)| (from, tcp.flags.has(Flags::ACK), tcp.seq))
        .collect();
    opening.sort_unstable();
    opening.dedup();
    claim("four segments with SYN opened the connection", opening.len() == 4);
    claim_state("the client is ESTABLISHED", left, TcpState::Established);
    claim_state("the server is ESTABLISHED", right, TcpState::Established);

    step "each end sends data";
    for agent in &agents {
        agent.must("send hello")?;
    };
    claim_is("the client reads what the server wrote", &agents[0].call("recv 100")?, "ok 5 hello");
    claim_is("the server reads what the client wrote", &agents[1].call("recv 100")?, "ok 5 hello");
    claim("no RST was sent", stage.count(&Matcher::rst()) == 0);
}

/// The client's port; both ports must be known in advance.
const OTHER_PORT: u16 = 7000;
