//! Two small writes and a read: the Nagle algorithm waits for a delayed ACK (RFC 1122 4.2.3.2, 4.2.3.4; UNP 7.9).

use std::time::Duration;

use crate::impairment::Matcher;
use crate::stage::{Agent, Broken, Stage};

scenario! { stage;
    name: "nagle-and-delayed-ack",
    group: Some(Group::Data),
    title: "a request is written in two small pieces",
    source: "UNP 7.9, RFC 9293 3.7.4, 3.8.6.3, tcp(7)",
    question: "A client writes a request in two small pieces and waits for the reply. Why does each \
               request take 40 ms on an idle network, and what helps?",
    book: &[
        (
            "The Nagle algorithm holds a small segment back while data is unacknowledged.",
            &[Book("7.9"), Rfc(9293, "3.7.4")],
        ),
        (
            "The other end delays its acknowledgment, because a reply could carry it.",
            &[Book("7.9"), Rfc(9293, "3.8.6.3")],
        ),
        (
            "One write of everything (writev) helps best; TCP_NODELAY helps, too, but is the least \
             desirable cure.",
            &[Book("7.9")],
        ),
    ],
    kernel: &[
        (
            "The same, except that a small segment waits only for an earlier small one, not for \
             full-sized segments.",
            &[
                Code("tcp_nagle_check", "net/ipv4/tcp_output.c"),
                Measured("the second piece is sent only after the first was acknowledged"),
            ],
        ),
        (
            "The shortest delay of an ACK is 40 ms.",
            &[
                Code("TCP_DELACK_MIN", "include/net/tcp.h"),
                Measured("the server's kernel has delayed the ACK of the first piece"),
                Measured("the second piece is sent 40 ms or more after the first, the shortest delay of an ACK"),
            ],
        ),
        (
            "TCP_NODELAY sends both pieces at once. TCP_CORK holds both back until it is taken \
             off, 200 ms at most, so that one segment takes both.",
            &[
                Man("tcp(7)"),
                Measured("with TCP_NODELAY the second piece does not wait for an ACK"),
                Measured("one segment has both pieces"),
            ],
        ),
        (
            "TCP_QUICKACK on the server's socket makes its kernel acknowledge the first piece at \
             once, but only for some time.",
            &[Man("tcp(7)"), Measured("no ACK was delayed")],
        ),
    ];

    step "a client writes two pieces of a request; TCP_QUICKACK is off on the server's socket, because \
          the kernel does not delay its first ACKs otherwise";
    let (client, server) = stage.connected()?;
    let first = request(stage, &client, &server, "quickack off")?;
    claim("the second piece is sent only after the first was acknowledged", first.waited);
    claim("the server's kernel has delayed the ACK of the first piece", first.delayed >= 1);
    claim("the second piece is sent 40 ms or more after the first, the shortest delay of an ACK", first.gap >= DELAY);

    step "the same with TCP_QUICKACK on the server's socket";
    let quick = request(stage, &client, &server, "quickack on")?;
    claim("with TCP_QUICKACK, too, the second piece is sent only after the first was acknowledged", quick.waited);
    claim("no ACK was delayed", quick.delayed == 0);

    step "the same with TCP_NODELAY on the client's socket, while the wire holds the server's ACKs";
    client.must("setsockopt nodelay on")?;
    server.must("setsockopt quickack off")?;
    // No ACK reaches the client, so there is none to wait for.
    let acks = stage.hold(Matcher::any_tcp().from_server());
    let mark = stage.two().timeline.mark();
    client.must("send head ")?;
    client.must("send body")?;
    claim_packet_since(
        "with TCP_NODELAY the second piece does not wait for an ACK",
        mark,
        &Matcher::data().from_client().containing("body"),
    );
    server.receive_all("head body".len())?;
    stage.release(&acks)?;

    step "the same with TCP_CORK instead, which is taken off after the last piece";
    client.must("setsockopt nodelay off")?;
    client.must("setsockopt cork on")?;
    let mark = stage.two().timeline.mark();
    client.must("send head ")?;
    client.must("send body")?;
    client.must("setsockopt cork off")?;
    claim_packet_since("one segment has both pieces", mark, &Matcher::data().containing("head body"));
    claim_is("the server reads both pieces in one call", &server.call("recv 100")?, "ok 9 head body");
}

/// The shortest delay of an ACK in Linux (`TCP_DELACK_MIN`), less what a clock may be off.
const DELAY: Duration = Duration::from_millis(39);

struct Request {
    /// The time from the first piece to the second.
    gap: Duration,
    /// ACKs that the server's kernel has sent because their delay was over.
    delayed: u64,
    /// The second piece came after an ACK of the first.
    waited: bool,
}

fn request(stage: &Stage, client: &Agent, server: &Agent, option: &str) -> Result<Request, Broken> {
    server.must(&format!("setsockopt {option}"))?;
    let (mark, before) = (stage.two().timeline.mark(), delayed(stage)?);
    client.must("send head ")?;
    client.must("send body")?;
    let from_client = Matcher::data().from_client();
    let head = stage.when(&from_client.clone().containing("head"), mark)?;
    let body = stage.when(&from_client.containing("body"), mark)?;
    let ack = stage.when(&Matcher::ack().from_server(), mark)?;
    server.receive_all("head body".len())?;
    let delayed = delayed(stage)? - before;
    // The reply takes the ACK of the request with it, so that the next request begins afresh.
    server.must("send reply")?;
    client.must("recv 100")?;
    Ok(Request { gap: body.saturating_sub(head), delayed, waited: body >= ack })
}

fn delayed(stage: &Stage) -> Result<u64, Broken> {
    Ok(stage.two().server.counter("TcpExt.DelayedACKs")?)
}
