//! The final ACK of the handshake is lost, and then the SYN-ACK (RFC 9293 3.5, 3.10.7).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::impairment::{Matcher, Rule};
use crate::packet::Flags;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "handshake-ack-lost",
    group: Some(Group::Startup),
    title: "the SYN-ACK or the final ACK of the handshake is lost",
    source: "UNP 2.6, 5.6, RFC 9293 3.5, 3.10.7.3, 3.10.7.4",
    question: "connect has returned, and the final ACK of the handshake is lost. Is there a \
               connection?",
    book: &[
        (
            "connect returns when the SYN-ACK has arrived, and the server's accept after the \
             final ACK has arrived.",
            &[Book("5.6")],
        ),
    ],
    kernel: &[
        (
            "For the client there is. For the server there is one as soon as any acceptable \
             segment with an ACK arrives: the client's first data completes the handshake.",
            &[
                Rfc(9293, "3.10.7.4"),
                Measured("the client's end is ESTABLISHED"),
                Measured("the server's end is in SYN_RECV"),
                Measured("the data completes the handshake: the server's end is ESTABLISHED"),
            ],
        ),
        (
            "If the SYN-ACK is lost, each end has a timer: the client sends its SYN again, and the \
             server its SYN-ACK, in either order. A SYN that is sent again is answered with the \
             SYN-ACK at once.",
            &[
                Code("tcp_check_req", "net/ipv4/tcp_minisocks.c"),
                Measured("connect succeeds after the second SYN"),
                Measured("the client has sent its SYN again"),
                Measured("the server has sent its SYN-ACK again"),
                Measured("the server has one connection of this client"),
            ],
        ),
    ];

    step "the wire drops the final ACK of a handshake";
    let server = stage.listening(10)?;
    let client = stage.client()?;
    stage.wire_rule(Rule::drop(Matcher::ack().from_client()).once().because("lost"));
    claim_is("connect succeeds", &client.call(&stage.connect_line())?, "ok");
    stage.two().wire.wait_for(&Matcher::ack().from_client(), 0, PATIENCE)?;
    claim_state("the client's end is ESTABLISHED", Side::Client, TcpState::Established);
    claim_state("the server's end is in SYN_RECV", Side::Server, TcpState::SynRecv);

    step "the client sends a line";
    claim_is("send succeeds", &client.call("send hello")?, "ok 5");
    claim_packet("the data arrives", &Matcher::data().from_client());
    claim_state("the data completes the handshake: the server's end is ESTABLISHED", Side::Server, TcpState::Established);
    server.must("accept")?;
    claim_is("the server reads the line", &server.call("recv 100")?, "ok 5 hello");

    step "another client connects, and the wire drops every SYN-ACK until the client has sent its SYN \
          a second time";
    let other = stage.client()?;
    stage.wire_rule(Rule::drop(before_second_syn()).because("lost"));
    claim_is("connect succeeds after the second SYN", &other.call(&stage.connect_line())?, "ok");
    let port = other.port()?;
    claim("the client has sent its SYN again", stage.count(&Matcher::syn().port(port)) >= 2);
    claim("the server has sent its SYN-ACK again", stage.count(&Matcher::syn_ack().port(port)) >= 2);
    server.must("0: accept")?;
    let queues = stage.connections(Side::Server, port);
    claim("the server has one connection of this client", queues.len() == 1);
}

/// A SYN-ACK that comes before the wire has seen two SYNs.
fn before_second_syn() -> Matcher {
    let syns = AtomicUsize::new(0);
    Matcher::any_tcp().matching("before the second SYN", move |_, packet| {
        let Some(tcp) = packet.tcp().filter(|tcp| tcp.flags.has(Flags::SYN)) else { return false };
        if tcp.flags.has(Flags::ACK) {
            return syns.load(Relaxed) < 2;
        }
        syns.fetch_add(1, Relaxed);
        false
    })
}
