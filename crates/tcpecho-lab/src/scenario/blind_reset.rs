//! An RST from an attacker who guesses (RFC 5961 3, 4).

use std::time::Duration;

use crate::impairment::Matcher;
use crate::packet::{Flags, Segment, Tcp, segment};
use crate::side::Side;
use crate::stage::{Broken, PATIENCE, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "blind-reset",
    group: Some(Group::Failures),
    title: "somebody who does not see the connection sends an RST",
    source: "RFC 5961 3, 4, RFC 9293 3.5.3, 3.10.7.4",
    question: "An attacker knows the addresses and ports of a connection, but not its sequence \
               numbers. Can an RST or a SYN that he forges end it?",
    book: &[
        (
            "In RFC 793 any RST whose sequence number lies in the window ends the connection, so \
             an attacker needs few guesses.",
            &[Rfc(5961, "3.1")],
        ),
        (
            "An RST ends the connection only if it has exactly the next sequence number; one \
             elsewhere in the window, and a SYN, is answered with a challenge ACK.",
            &[Rfc(5961, "3.2"), Rfc(5961, "4.2"), Rfc(9293, "3.10.7.4")],
        ),
    ],
    kernel: &[
        (
            "The same while no data is missing and no FIN has arrived: only an RST with exactly \
             the next sequence number ends the connection. One elsewhere in the window is answered \
             with a challenge ACK, which a real peer that has lost the connection answers with the \
             right RST; one outside the window is dropped.",
            &[
                Measured("an RST in the window is answered with a challenge ACK"),
                Measured("a SYN in a connection is answered with a challenge ACK"),
                Measured("an RST outside the window is not answered"),
                Measured("the server reads ECONNRESET"),
                Lab("client-host-crashes-and-returns"),
            ],
        ),
        (
            "An RST is also accepted with the sequence number after the last data that SACK \
             reports, and, after a FIN, with the next sequence number minus one.",
            &[Code("tcp_validate_incoming", "net/ipv4/tcp_input.c")],
        ),
        (
            "A SYN is answered with a challenge ACK, too.",
            &[Measured("the kernel counts the challenge of the SYN, too")],
        ),
    ];

    step "a client and a server are connected";
    let (client, server) = stage.connected()?;
    client.must("send hello")?;
    claim_is("the server reads what the client sent", &server.call("recv 100")?, "ok 5 hello");
    let next = next_of_client(stage)?;

    step "an RST arrives with a sequence number outside the window";
    let (mark, _) = forge(stage, Flags::RST, next.wrapping_sub(100_000))?;
    claim("an RST outside the window is not answered", !answered(stage, mark));
    claim_state("the server's end is ESTABLISHED", Side::Server, TcpState::Established);

    step "an RST arrives with a sequence number in the window";
    let (mark, before) = forge(stage, Flags::RST, next.wrapping_add(1000))?;
    claim_packet_since("an RST in the window is answered with a challenge ACK", mark, &Matcher::ack().from_server());
    claim("the kernel counts the challenge", challenges(stage)? > before);
    claim_state("the server's end is still ESTABLISHED", Side::Server, TcpState::Established);

    step "a SYN arrives";
    let (mark, before) = forge(stage, Flags::SYN, next.wrapping_add(1000))?;
    claim_packet_since("a SYN in a connection is answered with a challenge ACK", mark, &Matcher::ack().from_server());
    claim("the kernel counts the challenge of the SYN, too", challenges(stage)? > before);
    client.must("send again")?;
    claim_is("the connection works", &server.call("recv 100")?, "ok 5 again");

    step "an RST arrives with exactly the next sequence number";
    forge(stage, Flags::RST, next_of_client(stage)?)?;
    claim_is("the server reads ECONNRESET", &server.call("recv 100")?, "ECONNRESET");
    claim_state("the client's end is ESTABLISHED: it has received no RST", Side::Client, TcpState::Established);
}

/// The next sequence number that the server expects.
fn next_of_client(stage: &Stage) -> Result<u32, Broken> {
    let packets = stage.packets();
    let last = packets.iter().rev().find(|seen| Matcher::data().from_client().matches(seen.from, &seen.packet));
    let tcp = last.and_then(|seen| seen.packet.tcp());
    tcp.map(Tcp::end).ok_or_else(|| Broken::new("the client has sent no data"))
}

/// Sends the server a segment in the client's name; returns a mark of the moment before and the challenges until then.
fn forge(stage: &Stage, flags: Flags, seq: u32) -> Result<(usize, u64), Broken> {
    let seen = stage.two().wire.wait_delivered(&Matcher::data().from_client(), 0, PATIENCE)?;
    let ends = seen.packet.ends().ok_or_else(|| Broken::new("not a TCP packet"))?;
    let (mark, before) = (stage.two().timeline.mark(), challenges(stage)?);
    let bytes = segment(ends.0, ends.1, &Segment { seq, flags, ..Segment::default() });
    stage.two().wire.inject(Side::Server, &bytes, "forged");
    Ok((mark, before))
}

/// Whether the server's host has sent anything since the mark. It would have done so within the delivery.
fn answered(stage: &Stage, mark: usize) -> bool {
    stage.two().wire.settle(PATIENCE);
    let any = Matcher::any_tcp().from_server();
    stage.two().wire.wait_for(&any, mark, Duration::ZERO).is_ok()
}

fn challenges(stage: &Stage) -> Result<u64, Broken> {
    Ok(stage.two().server.counter("TcpExt.TCPChallengeACK")?)
}
