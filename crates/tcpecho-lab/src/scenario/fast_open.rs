//! Data in the SYN (RFC 7413).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, Stage};

scenario! { stage;
    name: "fast-open",
    group: Some(Group::Startup),
    title: "TCP Fast Open sends data in the SYN",
    source: "UNP 2.6, RFC 7413 3, 4.1, tcp(7)",
    question: "When can a client send its request in the SYN, and when does the server read it?",
    book: &[
        (
            "A connection is opened by three segments.",
            &[Book("2.6")],
        ),
        (
            "With Fast Open the first SYN asks for a cookie, the SYN-ACK brings it, and later \
             SYNs take it and data with them.",
            &[Rfc(7413, "3")],
        ),
    ],
    kernel: &[
        (
            "The first SYN asks for a cookie and takes no data with it. The SYN-ACK brings the \
             cookie.",
            &[
                Sysctl("net.ipv4.tcp_fastopen"),
                Measured("the first SYN asks for a cookie: its Fast Open option is empty"),
                Measured("the first SYN-ACK brings a cookie"),
                Measured("the first SYN took no data with it"),
            ],
        ),
        (
            "With the cookie and TCP_FASTOPEN_CONNECT the next connect sends nothing itself: the \
             first send goes out in the SYN. A server whose listening socket has TCP_FASTOPEN \
             reads it before the handshake is complete.",
            &[
                Man("tcp(7)"),
                Measured("connect has sent no SYN"),
                Measured("the second SYN has the data"),
                Measured("the second SYN has the same cookie"),
                Measured("accept returns before the handshake is complete"),
                Measured("the server reads the data of the SYN"),
            ],
        ),
    ];

    step "both hosts have Fast Open switched on, the server has set TCP_FASTOPEN; a client with \
          TCP_FASTOPEN_CONNECT connects for the first time";
    stage.two().set_sysctl("net.ipv4.tcp_fastopen", "3")?;
    let server = stage.listening(10)?;
    server.must("setsockopt fastopen 5")?;
    let first = opener(stage)?;
    claim_is("connect succeeds", &first.call(&stage.connect_line())?, "ok");
    first.must("send one")?;
    server.must("accept")?;
    claim_is("the server reads the data", &server.call("recv 100")?, "ok 3 one");
    claim("the first SYN took no data with it", in_syn(stage) == 0);
    let asked = cookie(stage, &Matcher::syn().from_client(), 0)?;
    claim("the first SYN asks for a cookie: its Fast Open option is empty", asked == Some(vec![]));
    let brought = cookie(stage, &Matcher::syn_ack().from_server(), 0)?;
    claim(
        "the first SYN-ACK brings a cookie",
        brought.as_ref().is_some_and(|cookie| !cookie.is_empty()),
    );
    first.must("close")?;
    server.must("close")?;

    step "another client with TCP_FASTOPEN_CONNECT connects, and the wire holds the server's SYN-ACK";
    let mark = stage.two().timeline.mark();
    let held = stage.hold(Matcher::syn_ack());
    let second = opener(stage)?;
    claim_is("connect returns at once", &second.call(&stage.connect_line())?, "ok");
    claim("connect has sent no SYN", stage.count(&Matcher::syn().from_client()) == 1);
    second.begin("send two")?;
    let syn = Matcher::syn().from_client();
    claim_packet("the second SYN has the data", &syn.clone().containing("two"));
    claim("the second SYN has the same cookie", cookie(stage, &syn, mark)? == brought);
    claim("accept returns before the handshake is complete", server.call("0: accept")?.starts_with("ok"));
    claim_is("the server reads the data of the SYN", &server.call("recv 100")?, "ok 3 two");
    claim_is("the server's send succeeds before the handshake is complete", &server.call("send reply")?, "ok 5");

    step "the wire releases the SYN-ACK";
    stage.release(&held)?;
    claim_is("the client's send returns only now, on a blocking socket", &second.outcome()?, "ok 3");
    claim_is("the client reads the reply", &second.call("recv 100")?, "ok 5 reply");
}

fn opener(stage: &Stage) -> Result<Agent, Broken> {
    let client = stage.agent(Side::Client)?;
    client.must(&format!("socket {}", stage.number()))?;
    client.must("setsockopt fastopen_connect on")?;
    Ok(client)
}

/// The Fast Open option of the first such packet after the mark.
fn cookie(stage: &Stage, matcher: &Matcher, mark: usize) -> Result<Option<Vec<u8>>, Broken> {
    let seen = stage.two().wire.wait_for(matcher, mark, PATIENCE)?;
    Ok(seen.packet.tcp().and_then(|tcp| tcp.fast_open.clone()))
}

/// The bytes of data in SYNs.
fn in_syn(stage: &Stage) -> usize {
    let syn = Matcher::syn().from_client();
    let packets = stage.packets();
    let syns = packets.iter().filter(|seen| syn.matches(seen.from, &seen.packet));
    syns.map(|seen| seen.packet.payload().len()).sum()
}
