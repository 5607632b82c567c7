//! A SYN cookie has no room for options (RFC 4987 3.6, RFC 7323).

use crate::impairment::Matcher;
use crate::packet::Tcp;
use crate::stage::{Broken, PATIENCE, Stage};

scenario! { stage;
    name: "cookies-without-timestamps",
    group: Some(Group::Queues),
    title: "SYN cookies without timestamps lose window scale and SACK",
    source: "RFC 4987 3.6, RFC 7323 2",
    question: "What does a connection lose that was opened with a SYN cookie?",
    book: &[
        (
            "A cookie has little room: it encodes one of a few segment sizes, and options that \
             need state are lost.",
            &[Rfc(4987, "3.6")],
        ),
    ],
    kernel: &[
        (
            "Of the options of the SYN the cookie encodes only the maximum segment size, rounded \
             down to one of four values.",
            &[Code("cookie_v4_init_sequence", "net/ipv4/syncookies.c")],
        ),
        (
            "Window scale and SACK are kept in the timestamp, if both ends use timestamps; \
             without them the connection has neither, and its window is at most 65535 bytes.",
            &[
                Code("cookie_init_timestamp", "net/ipv4/syncookies.c"),
                Rfc(7323, "2.1"),
                Measured("the client's SYN has a window scale and permits SACK"),
                Measured("the SYN-ACK has no window scale"),
                Measured("the SYN-ACK does not permit SACK"),
                Measured("with timestamps the SYN-ACK has a window scale again"),
                Measured("with timestamps the SYN-ACK permits SACK again"),
                Measured("the SYN-ACK has a timestamp, which holds both options"),
            ],
        ),
    ];

    step "a client without timestamps connects to a server that does not use cookies";
    stage.two().client.set_sysctl("net.ipv4.tcp_timestamps", "0")?;
    let server = stage.listening(10)?;
    stage.connected_client()?;
    let answer = syn_ack(stage, 0)?;
    claim("the SYN-ACK has a window scale", answer.window_scale.is_some());
    claim("the SYN-ACK permits SACK", answer.option_kinds.contains(&SACK_PERMITTED));
    server.must("accept")?;

    step "the same when the server answers every SYN with a cookie";
    stage.two().server.set_sysctl("net.ipv4.tcp_syncookies", "2")?;
    let (client, mark) = (stage.client()?, stage.two().timeline.mark());
    claim_is("connect succeeds", &client.call(&stage.connect_line())?, "ok");
    let answer = syn_ack(stage, mark)?;
    let syn = stage.two().wire.wait_delivered(&Matcher::syn().from_client(), mark, PATIENCE)?;
    let asked = syn.packet.tcp().is_some_and(|tcp| {
        tcp.window_scale.is_some() && tcp.option_kinds.contains(&SACK_PERMITTED)
    });
    claim("the client's SYN has a window scale and permits SACK", asked);
    claim("the SYN-ACK has no window scale", answer.window_scale.is_none());
    claim("the SYN-ACK does not permit SACK", !answer.option_kinds.contains(&SACK_PERMITTED));
    claim("the cookie was accepted", received(stage)? == 1);
    server.must("0: accept")?;

    step "the same with timestamps";
    stage.two().client.set_sysctl("net.ipv4.tcp_timestamps", "1")?;
    let mark = stage.two().timeline.mark();
    stage.connected_client()?;
    let answer = syn_ack(stage, mark)?;
    claim("with timestamps the SYN-ACK has a window scale again", answer.window_scale.is_some());
    claim("with timestamps the SYN-ACK permits SACK again", answer.option_kinds.contains(&SACK_PERMITTED));
    claim("the SYN-ACK has a timestamp, which holds both options", answer.timestamps.is_some());
    claim("the cookie with the timestamp was accepted", received(stage)? == 2);
    server.must("0: accept")?;
}

/// The kind of the option SACK-permitted (RFC 2018 2).
const SACK_PERMITTED: u8 = 4;

/// The SYN-ACK of the handshake that was made after the mark.
fn syn_ack(stage: &Stage, mark: usize) -> Result<Tcp, Broken> {
    stage.two().wire.wait_delivered(&Matcher::ack().from_client(), mark, PATIENCE)?;
    let seen = stage.two().wire.wait_delivered(&Matcher::syn_ack(), mark, PATIENCE)?;
    seen.packet.tcp().cloned().ok_or_else(|| Broken::new("not a TCP packet"))
}

fn received(stage: &Stage) -> Result<u64, Broken> {
    Ok(stage.two().server.counter("TcpExt.SyncookiesRecv")?)
}
