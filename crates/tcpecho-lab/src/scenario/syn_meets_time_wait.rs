//! A new connection between the same ends meets TIME_WAIT (RFC 9293 3.10.7.4, RFC 6191).

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::packet::{Flags, Segment, segment};
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "syn-meets-time-wait",
    group: Some(Group::Startup),
    title: "a client connects again from a port in TIME_WAIT",
    source: "UNP 2.7, RFC 6191 2, RFC 9293 3.10.7.4",
    question: "The server has closed first, and its end is in TIME_WAIT. A client connects from the \
               same port as before. Must it wait for 2 MSL?",
    book: &[
        (
            "TIME_WAIT prevents a new connection between the same ends, but implementations \
             derived from Berkeley allow it when the SYN's sequence number is above the last one \
             of the old connection.",
            &[Book("2.7")],
        ),
        (
            "With timestamps a later timestamp is enough.",
            &[Rfc(6191, "2")],
        ),
    ],
    kernel: &[
        (
            "A SYN with a later timestamp opens the new connection at once, and so does one with \
             a higher sequence number, unless its timestamp is older than the last one of the old \
             connection. Any other SYN is answered with an ACK of the old connection.",
            &[
                Code("tcp_timewait_state_process", "net/ipv4/tcp_minisocks.c"),
                Measured("the old SYN is answered with an ACK of the old connection"),
                Measured("the old SYN is not answered with a SYN-ACK"),
                Measured("the SYN with the older timestamp is answered with an ACK, too"),
                Measured("the server's end is still in TIME_WAIT when the client connects"),
                Measured("connect succeeds at once"),
                Measured("the SYN was not answered with an ACK first: the client sends no RST"),
                Measured("the new connection has replaced the one in TIME_WAIT"),
            ],
        ),
        (
            "The host that gets this ACK and does not know the connection answers with RST, which \
             ends TIME_WAIT unless tcp_rfc1337 is 1; the default is 0. Here the wire drops the \
             RST, so that the new connection meets TIME_WAIT.",
            &[
                Sysctl("net.ipv4.tcp_rfc1337"),
                Measured("the client's kernel answers the ACK with RST"),
                Lab("time-wait-assassination"),
            ],
        ),
    ];

    step "the server closes first, and its end is in TIME_WAIT; tcp_rfc1337 is 0, the default";
    stage.two().set_sysctl("net.ipv4.tcp_rfc1337", "0")?;
    let server = stage.listening(10)?;
    let old = binds(stage)?;
    old.must(&stage.connect_line())?;
    server.must("accept")?;
    server.must("close")?;
    old.must("recv 100")?;
    old.must("close")?;
    claim_state("the server's end is in TIME_WAIT", Side::Server, TcpState::TimeWait);
    claim_none_left("the client's end is closed", Side::Client, FROM);

    step "a SYN arrives from the same port with an older sequence number; the wire drops the RST of \
          the client";
    let resets = Matcher::rst().from_client();
    let drops = stage.two().wire.add(Rule::drop(resets.clone()).because("it would end TIME_WAIT"));
    let first = stage.two().wire.wait_delivered(&Matcher::syn().from_client(), 0, PATIENCE)?;
    let parts = first.packet.ends().zip(first.packet.tcp());
    let ((source, destination), tcp) = parts.ok_or_else(|| Broken::new("not a TCP packet"))?;
    let seq = tcp.seq.wrapping_sub(100_000);
    let older = Segment { seq, flags: Flags::SYN, window: 1000, ..Segment::default() };
    let mark = stage.two().timeline.mark();
    stage.two().wire.inject(Side::Server, &segment(source, destination, &older), "old");
    claim_packet_since("the old SYN is answered with an ACK of the old connection", mark, &Matcher::ack().from_server());
    stage.two().wire.settle(PATIENCE);
    let syn_acks = stage.two().wire.wait_for(&Matcher::syn_ack(), mark, Duration::ZERO);
    claim("the old SYN is not answered with a SYN-ACK", syn_acks.is_err());
    let reset = stage.two().wire.wait_for(&resets, mark, PATIENCE);
    claim("the client's kernel answers the ACK with RST", reset.is_ok());

    step "a SYN arrives with a higher sequence number and an older timestamp";
    let (value, _) = tcp.timestamps.ok_or_else(|| Broken::new("no timestamps"))?;
    let old = value.wrapping_sub(10_000);
    let stale = Segment {
        seq: tcp.seq.wrapping_add(100_000),
        flags: Flags::SYN,
        window: 1000,
        options: [&[1, 1, 8, 10][..], &old.to_be_bytes(), &[0; 4]].concat(),
        ..Segment::default()
    };
    let mark = stage.two().timeline.mark();
    stage.two().wire.inject(Side::Server, &segment(source, destination, &stale), "old timestamp");
    claim_packet_since(
        "the SYN with the older timestamp is answered with an ACK, too",
        mark, &Matcher::ack().from_server(),
    );
    stage.two().wire.wait_for(&resets, mark, PATIENCE)?;
    stage.two().wire.settle(PATIENCE);
    stage.two().wire.remove(drops);

    step "the client connects again from the same port";
    let states: Vec<TcpState> =
        stage.connections(Side::Server, FROM).iter().map(|socket| socket.state).collect();
    claim(
        "the server's end is still in TIME_WAIT when the client connects",
        states == [TcpState::TimeWait],
    );
    let mark = stage.two().timeline.mark();
    let again = binds(stage)?;
    claim_is("connect succeeds at once", &again.call(&stage.connect_line())?, "ok");
    // The kernel answers an ACK of another connection with RST, and sends its SYN again later.
    let reset = stage.two().wire.wait_for(&resets, mark, Duration::ZERO);
    claim("the SYN was not answered with an ACK first: the client sends no RST", reset.is_err());
    claim("the server accepts the connection", server.call("0: accept")?.starts_with("ok"));
    let states = stage.connections(Side::Server, FROM);
    let states: Vec<TcpState> = states.iter().map(|socket| socket.state).collect();
    claim("the new connection has replaced the one in TIME_WAIT", states == [TcpState::Established]);
}

/// The client's port.
const FROM: u16 = 40_000;

fn binds(stage: &Stage) -> Result<Agent, Broken> {
    let client = stage.client()?;
    client.must("setsockopt reuseaddr on")?;
    client.must(&format!("bind {} {FROM}", Side::Client.address(stage.family())))?;
    Ok(client)
}
