//! A lost segment is retransmitted: after a timeout if it was alone, at once if later ones arrive (RFC 6298, RFC 8985).

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::stage::{PATIENCE, Stage};
use crate::timeline::What;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "segment-lost",
    group: Some(Group::Data),
    title: "a segment is lost",
    source: "UNP 2.4, RFC 6298, RFC 8985",
    question: "What does a program notice of a lost segment, and when is it retransmitted?",
    book: &[
        (
            "TCP waits for the acknowledgment and retransmits the segment when none arrives \
             within a time estimated from the RTT. The program notices only the delay.",
            &[Book("2.4")],
        ),
    ],
    kernel: &[
        (
            "A single segment is retransmitted when the timer expires, after at least the minimum \
             RTO: 200 ms (rto_min of the route), where RFC 6298 asks for a second. The tail loss \
             probe, which would come first, is off here.",
            &[
                Measured("the retransmission came 200 ms after the call, or later"),
                Measured("the client's kernel counts a timeout"),
                Sysctl("net.ipv4.tcp_early_retrans"),
                Rfc(6298, "2"),
            ],
        ),
        (
            "When later segments arrive, the receiver reports them with SACK. The sender's RACK \
             then finds the earlier one lost and retransmits it before the RTO: at once after \
             three reported segments, otherwise after a fraction of the RTT.",
            &[
                Rfc(2018, "4"),
                Rfc(8985, "6.2"),
                Sysctl("net.ipv4.tcp_recovery"),
                Code("tcp_rack_reo_wnd", "net/ipv4/tcp_recovery.c"),
                Lab("segments-reordered"),
                Measured("the server's kernel reports the later segments with SACK"),
                Measured("the client's kernel counts a fast retransmission"),
                Measured("the client's kernel counts no further timeout"),
            ],
        ),
    ];

    step "the wire drops the only segment in flight; the minimum RTO is 200 ms";
    stage.two().client.set_rto_min(SMALLEST)?;
    let (client, server) = stage.connected()?;
    let alone = Matcher::data().from_client().containing("single");
    stage.wire_rule(Rule::drop(alone.clone()).once());
    // The wire may see the first transmission late, so the time counts from before the call.
    let asked = stage.two().timeline.elapsed();
    let sent = client.call("send single")?;
    claim_is("send succeeds: the data only fills the buffer", &sent, "ok 6");
    let read = server.call("recv 100")?;
    claim_is("the server reads the data all the same", &read, "ok 6 single");
    let times = times(stage, &alone);
    claim("the segment was retransmitted", times.len() >= 2);
    let waited = times.get(1).is_some_and(|second| second.saturating_sub(asked) >= SMALLEST);
    claim("the retransmission came 200 ms after the call, or later", waited);
    // Until its acknowledgment has arrived, a busy machine may add another timeout.
    stage.two().client.wait_for_socket(stage.family(), "all acknowledged", PATIENCE, |socket| {
        socket.state == TcpState::Established && socket.wqueue == 0
    })?;
    let timeouts = stage.two().client.counter("TcpExt.TCPTimeouts")?;
    claim("the client's kernel counts a timeout", timeouts >= 1);

    step "the wire drops the first of five segments; the minimum RTO is 30 s";
    // Long enough that it expires on no busy machine.
    stage.two().client.set_rto_min(Duration::from_secs(30))?;
    let client = stage.connected_client()?;
    client.must("setsockopt nodelay on")?;
    server.must("0: accept")?;
    let before = stage.two().client.counter("TcpExt.TCPTimeouts")?;
    let lost = Matcher::data().from_client().containing("one");
    stage.wire_rule(Rule::drop(lost.clone()).once());
    for word in ["one", "two", "three", "four", "five"] {
        client.must(&format!("send {word}"))?;
    };
    let told = Matcher::ack().from_server().matching("with SACK", |_, packet| {
        packet.tcp().is_some_and(|tcp| !tcp.sack.is_empty())
    });
    claim_packet("the server's kernel reports the later segments with SACK", &told);
    claim_packet("the lost segment is retransmitted", &lost);
    let last = Matcher::data().from_client().containing("five");
    stage.two().wire.wait_delivered(&last, 0, PATIENCE)?;
    let read = server.call("recv 100")?;
    claim_is("the server reads all five segments in order", &read, "ok 19 onetwothreefourfive");
    let fast = stage.two().client.counter("TcpExt.TCPFastRetrans")?;
    claim("the client's kernel counts a fast retransmission", fast >= 1);
    let after = stage.two().client.counter("TcpExt.TCPTimeouts")?;
    claim("the client's kernel counts no further timeout", after == before);
}

const SMALLEST: Duration = Duration::from_millis(200);

/// When the wire first saw each of these packets.
fn times(stage: &Stage, matcher: &Matcher) -> Vec<Duration> {
    let moments = stage.two().timeline.since(0).into_iter();
    let seen = moments.filter(|moment| match &moment.what {
        What::Packet(seen) => {
            seen.verdict.is_first_sight() && matcher.matches(seen.from, &seen.packet)
        }
        _ => false,
    });
    seen.map(|moment| moment.at).collect()
}
