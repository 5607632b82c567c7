//! An old segment ends TIME_WAIT early (RFC 1337).

use crate::impairment::Matcher;
use crate::packet::{Flags, Segment, segment};
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "time-wait-assassination",
    group: Some(Group::Closing),
    title: "an old segment ends TIME_WAIT early",
    source: "UNP 2.7, RFC 1337, RFC 9293 3.10.7.4",
    question: "TIME_WAIT is there to absorb old segments. Can an old segment end it?",
    book: &[
        (
            "TIME_WAIT lasts 2 MSL, so that old segments of the connection have expired.",
            &[Book("2.7")],
        ),
        (
            "An old segment is answered with an ACK. The peer, which has forgotten the \
             connection, answers that with an RST, and the RST ends TIME_WAIT.",
            &[Rfc(1337, "")],
        ),
    ],
    kernel: &[
        (
            "The same. With tcp_rfc1337=1 the RST is ignored; the default is 0.",
            &[
                Man("tcp(7)"),
                Code("tcp_timewait_state_process", "net/ipv4/tcp_minisocks.c"),
                Sysctl("net.ipv4.tcp_rfc1337"),
                Measured("the server's kernel answers with RST"),
                Measured("TIME_WAIT is over"),
                Measured("with tcp_rfc1337=1 TIME_WAIT stays"),
            ],
        ),
    ];

    step "a connection ends, the client closes first, and TIME_WAIT stays on its host; tcp_rfc1337 is 0, \
          the kernel's default";
    stage.two().client.set_sysctl("net.ipv4.tcp_rfc1337", "0")?;
    let server = stage.listening(10)?;
    let mark = stage.two().timeline.mark();
    let port = closed(stage, &server)?;
    claim_state("the client's end is in TIME_WAIT", Side::Client, TcpState::TimeWait);

    step "a copy of the server's data arrives late";
    let late = stage.two().timeline.mark();
    late_copy(stage, mark, port)?;
    claim_packet_since("the client's kernel answers with an ACK", late, &Matcher::ack().from_client().port(port));
    claim_packet_since("the server's kernel answers with RST", mark, &Matcher::rst().from_server().port(port));
    claim_none_left("TIME_WAIT is over", Side::Client, port);

    step "the same with tcp_rfc1337=1 on the client's host";
    stage.two().client.set_sysctl("net.ipv4.tcp_rfc1337", "1")?;
    let mark = stage.two().timeline.mark();
    let port = closed(stage, &server)?;
    late_copy(stage, mark, port)?;
    let reset = Matcher::rst().from_server().port(port);
    claim_packet_since("with tcp_rfc1337=1 the RST is sent, too", mark, &reset);
    claim_state("with tcp_rfc1337=1 TIME_WAIT stays", Side::Client, TcpState::TimeWait);
    let left = stage.connections(Side::Client, port).len();
    claim("the connection is still in the table", left == 1);
}

/// A connection with one line from the server, which the client closes first; returns the client's port.
fn closed(stage: &Stage, server: &Agent) -> Result<u16, Broken> {
    let client = stage.joined(server)?;
    let port = client.port()?;
    server.must("send hello")?;
    client.must("recv 100")?;
    client.must("close")?;
    server.must("recv 100")?;
    server.must("close")?;
    let gone = Matcher::ack().from_client().port(port);
    stage.two().wire.wait_delivered(&gone, 0, PATIENCE)?;
    stage.two().client.wait_for_state(stage.family(), stage.port(), TcpState::TimeWait, PATIENCE)?;
    Ok(port)
}

/// Delivers the server's data once more.
fn late_copy(stage: &Stage, mark: usize, port: u16) -> Result<(), Broken> {
    let data = Matcher::data().from_server().port(port);
    let seen = stage.two().wire.wait_delivered(&data, mark, PATIENCE)?;
    let parts = seen.packet.ends().zip(seen.packet.tcp());
    let ((source, destination), tcp) = parts.ok_or_else(|| Broken::new("not a TCP packet"))?;
    let old = Segment {
        seq: tcp.seq,
        ack: tcp.ack,
        flags: Flags::PSH | Flags::ACK,
        window: tcp.window,
        payload: seen.packet.payload().to_vec(),
        ..Segment::default()
    };
    stage.two().wire.inject(Side::Client, &segment(source, destination, &old), "late");
    Ok(())
}
