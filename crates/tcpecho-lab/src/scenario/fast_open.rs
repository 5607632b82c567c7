//! Data in the SYN (RFC 7413).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, Stage};

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
            "The first SYN asks for a cookie and takes no data with it.",
            &[Sysctl("net.ipv4.tcp_fastopen"), Measured("the SYN took no data with it")],
        ),
        (
            "With the cookie and TCP_FASTOPEN_CONNECT the next connect sends nothing itself: the \
             first send goes out in the SYN. A server whose listening socket has TCP_FASTOPEN \
             reads it before the handshake is complete.",
            &[
                Man("tcp(7)"),
                Measured("no SYN has been sent by it"),
                Measured("its SYN has the data"),
                Measured("accept returns before the handshake is complete"),
                Measured("the server reads the data"),
            ],
        ),
    ];

    step "server and client have Fast Open switched on, and the client connects for the first time";
    stage.two().set_sysctl("net.ipv4.tcp_fastopen", "3")?;
    let server = stage.listening(10)?;
    server.must("setsockopt fastopen 5")?;
    let first = opener(stage)?;
    claim_is("connect succeeds", &first.call(&stage.connect_line())?, "ok");
    first.must("send one")?;
    server.must("accept")?;
    claim_is("the server reads the data", &server.call("recv 100")?, "ok 3 one");
    claim("the SYN took no data with it", in_syn(stage) == 0);
    first.must("close")?;
    server.must("close")?;

    step "the client connects again, and the wire holds the server's SYN-ACK";
    let held = stage.hold(Matcher::syn_ack());
    let second = opener(stage)?;
    claim_is("connect returns at once", &second.call(&stage.connect_line())?, "ok");
    claim("no SYN has been sent by it", stage.count(&Matcher::syn().from_client()) == 1);
    second.begin("send two")?;
    claim_packet("its SYN has the data", &Matcher::syn().from_client().containing("two"));
    claim("accept returns before the handshake is complete", server.call("0: accept")?.starts_with("ok"));
    claim_is("the server reads the data", &server.call("recv 100")?, "ok 3 two");
    claim_is("and answers", &server.call("send reply")?, "ok 5");

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

/// The bytes of data in SYNs.
fn in_syn(stage: &Stage) -> usize {
    let syn = Matcher::syn().from_client();
    let packets = stage.packets();
    let syns = packets.iter().filter(|seen| syn.matches(seen.from, &seen.packet));
    syns.map(|seen| seen.packet.payload().len()).sum()
}
