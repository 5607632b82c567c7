//! Three packets, and when each side learns of what (UNP 5.6, RFC 9293 3.5).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PATIENCE, PORT, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "normal-startup",
        title: "a connection is made",
        source: "UNP 5.6, RFC 9293 3.5",
        question: "Which packets make a connection, and when do connect and accept return?",
        book: "The client is done with the second of three segments, the server only with the \
               third: accept comes back half a round trip after connect.",
        kernel: "The same; and the kernel, not accept, completes the handshake: the connection is \
                 ESTABLISHED and waits in the accept queue before anybody calls accept.",
        timers: &[],
        steps: &[
            Step {
                does: "the server listens",
                claims: &[
                    "its socket is in LISTEN",
                ],
            },
            Step {
                does: "the client connects, and the wire keeps the server's SYN-ACK",
                claims: &[
                    "a SYN goes out",
                    "the client is in SYN_SENT",
                    "the server is in SYN_RECV",
                ],
            },
            Step {
                does: "the SYN-ACK goes on, and the wire keeps the client's ACK",
                claims: &[
                    "connect returns although the server has not heard of it yet",
                    "the client is ESTABLISHED",
                    "the server is still in SYN_RECV",
                ],
            },
            Step {
                does: "the ACK goes on; nobody has called accept",
                claims: &[
                    "the server's connection is ESTABLISHED all the same",
                    "one connection waits in the accept queue",
                ],
            },
            Step {
                does: "the server calls accept",
                claims: &[
                    "accept returns at once",
                    "three packets made the connection",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the server listens");
    let server = stage.listening(10)?;
    stage.claim_state("its socket is in LISTEN", Side::Server, TcpState::Listen);

    stage.step("the client connects, and the wire keeps the server's SYN-ACK");
    let syn_ack = stage.keep(Matcher::syn_ack());
    let client = stage.client()?;
    client.begin(&stage.connect_line())?;
    stage.claim_packet("a SYN goes out", &Matcher::syn().from_client());
    stage.two().wire.wait_for(&Matcher::syn_ack(), 0, PATIENCE)?;
    stage.claim_state("the client is in SYN_SENT", Side::Client, TcpState::SynSent);
    stage.claim_state("the server is in SYN_RECV", Side::Server, TcpState::SynRecv);

    stage.step("the SYN-ACK goes on, and the wire keeps the client's ACK");
    let ack = stage.keep(Matcher::ack().from_client());
    stage.let_go(&syn_ack)?;
    stage.claim_is("connect returns although the server has not heard of it yet", &client.outcome()?, "ok");
    stage.claim_state("the client is ESTABLISHED", Side::Client, TcpState::Established);
    stage.claim_state("the server is still in SYN_RECV", Side::Server, TcpState::SynRecv);

    stage.step("the ACK goes on; nobody has called accept");
    stage.let_go(&ack)?;
    stage.claim_state("the server's connection is ESTABLISHED all the same", Side::Server, TcpState::Established);
    let queue = stage.two().server.sockets(stage.family());
    let waiting = queue.iter().any(|socket| {
        socket.state == TcpState::Listen && socket.local.port() == PORT && socket.rqueue == 1
    });
    stage.claim("one connection waits in the accept queue", waiting);

    stage.step("the server calls accept");
    stage.claim("accept returns at once", server.must("accept").is_ok());
    // The same packet again is one that a busy machine was late to answer.
    let packets = stage.packets();
    let different: std::collections::BTreeSet<_> = packets.iter().map(|seen| &seen.line).collect();
    stage.claim("three packets made the connection", different.len() == 3);
    Ok(())
}
