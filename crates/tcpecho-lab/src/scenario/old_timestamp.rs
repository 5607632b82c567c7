//! A segment with an old timestamp is dropped (RFC 7323 5).

use crate::impairment::Matcher;
use crate::packet::{Flags, Segment, segment};
use crate::side::Side;
use crate::stage::{Broken, PATIENCE};

scenario! { stage;
    name: "old-timestamp",
    group: Some(Group::Data),
    title: "a segment with an old timestamp is dropped (PAWS)",
    source: "UNP 2.6, RFC 7323 5",
    question: "On a fast connection sequence numbers come round within seconds. A very old segment has \
               by chance the number that is expected next. What saves the data?",
    book: &[
        (
            "Timestamps are needed on fast connections, because an old segment could be taken for \
             a new one.",
            &[Book("2.6")],
        ),
        (
            "A segment whose timestamp is older than that of the last one in sequence is dropped \
             and answered with an ACK, unless it is an RST.",
            &[Rfc(7323, "5")],
        ),
    ],
    kernel: &[
        (
            "The same, even if the segment has the sequence number that is expected next.",
            &[
                Measured("the old segment is answered with an ACK"),
                Measured("the server's kernel drops the old segment and counts it"),
                Measured("the server reads the client's data, not that of the old segment"),
                Measured("an RST with an old timestamp resets the connection"),
            ],
        ),
    ];

    step "a client and a server are connected with timestamps";
    let (client, server) = stage.connected()?;
    client.must("send hello")?;
    claim_is("the server reads what the client sent", &server.call("recv 100")?, "ok 5 hello");
    let seen = stage.two().wire.wait_delivered(&Matcher::data().from_client(), 0, PATIENCE)?;
    let parts = seen.packet.ends().zip(seen.packet.tcp());
    let ((source, destination), tcp) = parts.ok_or_else(|| Broken::new("not a TCP packet"))?;
    claim("the segment has a timestamp", tcp.timestamps.is_some());
    let (value, echo) = tcp.timestamps.unwrap_or_default();

    step "a segment with the next sequence number and a timestamp from ten seconds before arrives";
    let before = stage.two().server.counter("TcpExt.PAWSEstab")?;
    let old = value.wrapping_sub(10_000);
    let options = [&[1, 1, 8, 10][..], &old.to_be_bytes(), &echo.to_be_bytes()].concat();
    let forged = Segment {
        seq: tcp.end(),
        ack: tcp.ack,
        flags: Flags::PSH | Flags::ACK,
        window: tcp.window,
        payload: b"wrong".to_vec(),
        options,
    };
    let mark = stage.two().timeline.mark();
    stage.two().wire.inject(Side::Server, &segment(source, destination, &forged), "very old");
    claim_packet_since("the old segment is answered with an ACK", mark, &Matcher::ack().from_server());
    let dropped = stage.two().server.counter("TcpExt.PAWSEstab")?;
    claim("the server's kernel drops the old segment and counts it", dropped == before + 1);

    step "the client sends its next data";
    client.must("send right")?;
    claim_is(
        "the server reads the client's data, not that of the old segment",
        &server.call("recv 100")?, "ok 5 right",
    );

    step "an RST with the next sequence number and the same old timestamp arrives";
    let next = tcp.end().wrapping_add(5);
    let reset = Segment { seq: next, flags: Flags::RST | Flags::ACK, payload: Vec::new(), ..forged };
    stage.two().wire.inject(Side::Server, &segment(source, destination, &reset), "very old");
    claim_is(
        "an RST with an old timestamp resets the connection",
        &server.call("recv 100")?, "ECONNRESET",
    );
}
