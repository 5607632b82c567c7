//! A router marks a packet instead of dropping it (RFC 3168).

use std::sync::Arc;

use crate::impairment::{Action, Matcher, Rule};
use crate::packet::{Flags, repair};
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

use super::slow_start::value;

scenario! { stage;
    name: "congestion-notification",
    group: Some(Group::Path),
    title: "a router marks a packet instead of dropping it (ECN)",
    source: "RFC 3168 5, 6.1",
    question: "How does a sender learn of congestion without a lost packet?",
    book: &[
        (
            "If both ends have agreed on ECN in the handshake, a router that is congested marks a \
             packet with CE.",
            &[Rfc(3168, "5"), Rfc(3168, "6.1.1")],
        ),
        (
            "The receiver sets ECE in its ACKs until the sender, which reduces its window as \
             after a loss, has set CWR.",
            &[Rfc(3168, "6.1.2"), Rfc(3168, "6.1.3")],
        ),
    ],
    kernel: &[
        (
            "The same. The client's kernel halves its congestion window when the ACK with ECE \
             arrives (Reno).",
            &[
                Measured("the SYN has ECE and CWR"),
                Measured("the SYN-ACK has ECE"),
                Measured("the server's ACK has ECE"),
                Measured("the slow start threshold is half of the congestion window before"),
                Measured("the client's next segment has CWR"),
                Measured("the congestion window is half of what it was"),
            ],
        ),
        (
            "The default of tcp_ecn is 2: agree when asked, do not ask.",
            &[Sysctl("net.ipv4.tcp_ecn")],
        ),
    ];

    step "both hosts use ECN, and a client connects";
    stage.two().set_sysctl("net.ipv4.tcp_ecn", "1")?;
    let (client, server) = stage.connected()?;
    let asks = Matcher::syn().from_client().with_flags(Flags::ECE | Flags::CWR);
    claim_packet("the SYN has ECE and CWR", &asks);
    claim_packet("the SYN-ACK has ECE", &Matcher::syn_ack().with_flags(Flags::ECE));

    step "a router marks a data packet";
    let mark = Arc::new(|bytes: &mut Vec<u8>| {
        congested(bytes);
        repair(bytes);
    });
    let marks = Rule::new(Matcher::data().from_client(), Action::Rewrite(mark));
    stage.wire_rule(marks.once().because("CE"));
    let before = value(&client, "cwnd")?;
    client.must("send hello")?;
    claim_is("the server reads the data", &server.call("recv 100")?, "ok 5 hello");
    let echo = Matcher::any_tcp().from_server().with_flags(Flags::ACK | Flags::ECE);
    claim_packet("the server's ACK has ECE", &echo.matching("no SYN", |_, packet| {
        packet.tcp().is_some_and(|tcp| !tcp.flags.has(Flags::SYN))
    }));
    let threshold = value(&client, "ssthresh")?;
    claim("the slow start threshold is half of the congestion window before", threshold == before / 2);

    step "the client sends more";
    client.must("send more")?;
    let reduced = Matcher::data().from_client().with_flags(Flags::CWR);
    claim_packet("the client's next segment has CWR", &reduced);
    claim_is("the server reads the second piece of data", &server.call("recv 100")?, "ok 4 more");
    stage.two().client.wait_for_socket(stage.family(), "all acknowledged", PATIENCE, |socket| {
        socket.state == TcpState::Established && socket.wqueue == 0
    })?;
    claim("the congestion window is half of what it was", value(&client, "cwnd")? == before / 2);
}

/// Sets both bits of the ECN field: congestion experienced (RFC 3168 5).
fn congested(bytes: &mut [u8]) {
    let place = match bytes.first().map(|first| first >> 4) {
        // The traffic class lies across two bytes (RFC 8200 3).
        Some(6) => (1, 0x30),
        _ => (1, 0x03),
    };
    if let Some(byte) = bytes.get_mut(place.0) {
        *byte |= place.1;
    }
}
