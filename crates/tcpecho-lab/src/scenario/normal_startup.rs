//! The three-way handshake, and when each side knows that it is complete (UNP 5.6, RFC 9293 3.5).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PATIENCE, PORT};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "normal-startup",
    group: Some(Group::Startup),
    title: "a connection is established",
    source: "UNP 5.6, RFC 9293 3.5",
    question: "Which packets open a connection, and when do connect and accept return?",
    book: &[
        (
            "The connection is complete for the client with the second of three segments, for the \
             server only with the third: accept returns half a round trip after connect.",
            &[Book("5.6"), Rfc(9293, "3.5")],
        ),
    ],
    kernel: &[
        (
            "The same.",
            &[
                Measured("connect returns, although the ACK has not reached the server"),
                Measured("the server is still in SYN_RECV"),
                Measured("three segments opened the connection"),
            ],
        ),
        (
            "The kernel, not accept, completes the handshake: the connection is ESTABLISHED and \
             waits in the accept queue before the server calls accept.",
            &[
                Measured("the server's connection is ESTABLISHED"),
                Measured("one connection waits in the accept queue"),
                Man("listen(2)"),
            ],
        ),
    ];

    step "the server listens";
    let server = stage.listening(10)?;
    claim_state("the server's socket is in LISTEN", Side::Server, TcpState::Listen);

    step "the client connects, and the wire holds the server's SYN-ACK";
    let syn_ack = stage.hold(Matcher::syn_ack());
    let client = stage.client()?;
    client.begin(&stage.connect_line())?;
    claim_packet("a SYN is sent", &Matcher::syn().from_client());
    stage.two().wire.wait_for(&Matcher::syn_ack(), 0, PATIENCE)?;
    claim_state("the client is in SYN_SENT", Side::Client, TcpState::SynSent);
    claim_state("the server is in SYN_RECV", Side::Server, TcpState::SynRecv);

    step "the SYN-ACK is released, and the wire holds the client's ACK";
    let ack = stage.hold(Matcher::ack().from_client());
    stage.release(&syn_ack)?;
    claim_is(
        "connect returns, although the ACK has not reached the server",
        &client.outcome()?, "ok",
    );
    claim_state("the client is ESTABLISHED", Side::Client, TcpState::Established);
    claim_state("the server is still in SYN_RECV", Side::Server, TcpState::SynRecv);

    step "the ACK is released; the server has not called accept";
    stage.release(&ack)?;
    claim_state("the server's connection is ESTABLISHED", Side::Server, TcpState::Established);
    let queue = stage.two().server.sockets(stage.family());
    let waiting = queue.iter().any(|socket| {
        socket.state == TcpState::Listen && socket.local.port() == PORT && socket.rqueue == 1
    });
    claim("one connection waits in the accept queue", waiting);

    step "the server calls accept";
    claim("accept returns at once", server.must("accept").is_ok());
    // A packet that is sent twice was answered late by a busy machine.
    let packets = stage.packets();
    let segments = packets.iter().filter_map(|seen| seen.packet.tcp());
    let different: std::collections::BTreeSet<_> =
        segments.map(|tcp| (tcp.kind(), tcp.seq)).collect();
    claim("three segments opened the connection", different.len() == 3);
}
