//! Large packets disappear without an ICMP message (RFC 2923, RFC 4821).

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "mtu-black-hole",
    group: Some(Group::Path),
    title: "large packets are dropped silently on the path",
    source: "UNP 2.11, RFC 2923, RFC 4821",
    question: "Why does a connection open, carry short messages, and hang on long ones?",
    book: &[
        (
            "A router that cannot forward a packet and must not fragment it tells the sender with \
             an ICMP message, and TCP then sends smaller segments.",
            &[Book("2.11")],
        ),
        (
            "A path on which this message is lost is a black hole.",
            &[Rfc(2923, "2.1")],
        ),
    ],
    kernel: &[
        (
            "Without the message TCP retransmits the same large segments again and again.",
            &[
                Measured("the lost data is retransmitted again and again, and lost again"),
                Rfc(2923, "2.1"),
            ],
        ),
        (
            "With tcp_mtu_probing=1 Linux suspects the path after a few timeouts (tcp_retries1) \
             and tries segments of tcp_base_mss, 1024 bytes.",
            &[
                Sysctl("net.ipv4.tcp_mtu_probing"),
                Sysctl("net.ipv4.tcp_base_mss"),
                Code("tcp_write_timeout", "net/ipv4/tcp_timer.c"),
                Rfc(4821, "7"),
                Measured("the lost data arrives in segments of at most 1024 bytes"),
            ],
        ),
    ],
    timers: &[Timer::BlackHole];

    step "a router on the path drops all packets larger than 1400 bytes silently";
    let client_host = &stage.two().client;
    client_host.set_sysctl("net.ipv4.tcp_mtu_probing", "0")?;
    client_host.set_rto_min(Duration::from_millis(20))?;
    stage.shorten(Side::Client, Timer::BlackHole, &[1])?;
    let long = Matcher::any_tcp().longer_than(1400);
    stage.wire_rule(Rule::drop(long.clone()));
    let (client, server) = stage.connected()?;
    claim_state("the client is connected", Side::Client, TcpState::Established);
    client.must("send hello")?;
    let read = server.call("recv 100")?;
    claim_is("a short message arrives", &read, "ok 5 hello");

    step "the client sends a long message";
    let sent = client.call(&format!("send {BYTES} bytes"))?;
    claim_is("send succeeds: the data only fills the buffer", &sent, "ok 5000");
    let lost = stage.two().wire.wait_for(&long, 0, PATIENCE)?;
    let seq = lost.packet.tcp().map(|tcp| tcp.seq);
    let first = Matcher::data().from_client().matching("with the lost number", move |_, packet| {
        packet.tcp().map(|tcp| tcp.seq) == seq
    });
    let mut mark = 0;
    for _ in 0..3 {
        stage.two().wire.wait_for(&first, mark, PATIENCE)?;
        mark = stage.two().timeline.mark();
    };
    let arrived = stage.packets().iter().any(|seen| {
        seen.verdict.has_arrived() && first.matches(seen.from, &seen.packet)
    });
    claim("the lost data is retransmitted again and again, and lost again", !arrived);
    server.must("nonblocking on")?;
    claim_is("the server has nothing to read", &server.call("recv 100")?, "EAGAIN");

    step "the administrator turns on tcp_mtu_probing on the client's host";
    stage.two().client.set_sysctl("net.ipv4.tcp_mtu_probing", "1")?;
    server.must("nonblocking off")?;
    let pieces = server.receive_all(BYTES)?;
    let all = pieces.iter().sum::<usize>().to_string();
    claim_is("the server reads the whole message", &all, "5000");
    let short = first.matching("of 1024 bytes at most", |_, packet| packet.payload().len() <= 1024);
    claim_packet("the lost data arrives in segments of at most 1024 bytes", &short);
}

const BYTES: usize = 5000;
