//! The client's host crashes, reboots, and connects again from the same port (RFC 9293 3.5.1, RFC 5961 4).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, Stage};
use tcpecho_os::tcp_state::TcpState;

/// The client's port, both times.
const FROM: u16 = 40000;

scenario! { stage;
    name: "client-host-crashes-and-returns",
    group: Some(Group::Failures),
    title: "the client's host reboots and connects from the same port",
    source: "UNP 5.15 from the other end, 7.5, RFC 9293 3.5.1, RFC 5961 4",
    question: "A server holds a connection whose client's host has crashed. What happens when \
               that client connects again from the same address and port?",
    book: &[
        (
            "A server that only reads does not notice that its client's host has crashed: the \
             connection stays half-open. SO_KEEPALIVE detects such connections and ends them.",
            &[Book("7.5")],
        ),
    ],
    kernel: &[
        (
            "The server's kernel answers the SYN with a challenge ACK for the old connection. The \
             client's kernel does not know that connection and sends an RST, which ends it: its \
             server reads ECONNRESET.",
            &[
                Rfc(5961, "4"),
                Rfc(9293, "3.5.1"),
                Measured("the answer is an ACK, not a SYN-ACK"),
                Measured("the client's kernel answers with RST"),
                Measured("the server's recv on the old connection fails with ECONNRESET"),
            ],
        ),
        (
            "The retransmitted SYN opens the new connection.",
            &[Measured("the new connection took two SYNs")],
        ),
    ];

    step "a client connects from a chosen port, and the server waits in recv";
    let server = stage.listening(10)?;
    let old = binds(stage)?;
    old.must(&stage.connect_line())?;
    server.must("accept")?;
    server.begin("recv 100")?;

    step "the client's host loses power and boots";
    stage.two_mut().client.power_off();
    stage.two_mut().client.reboot()?;
    claim_none_left("the client's host has no connection", Side::Client, FROM);
    claim_state("the server is ESTABLISHED", Side::Server, TcpState::Established);

    step "the client connects again from the same port";
    let new = binds(stage)?;
    let mark = stage.two().timeline.mark();
    new.begin(&stage.connect_line())?;
    claim_packet_since("the client's SYN arrives", mark, &Matcher::syn().from_client());
    let challenge = Matcher::ack().from_server();
    claim_packet_since("the answer is an ACK, not a SYN-ACK", mark, &challenge);
    claim_packet_since("the client's kernel answers with RST", mark, &Matcher::rst().from_client());
    claim_is(
        "the server's recv on the old connection fails with ECONNRESET",
        &server.outcome()?, "ECONNRESET",
    );

    step "the client's kernel retransmits the SYN";
    claim_is("connect succeeds, and the program has noticed nothing", &new.outcome()?, "ok");
    let syns = stage.count(&Matcher::syn().from_client());
    claim("the new connection took two SYNs", syns >= 3);
    claim("the server accepts the new connection", server.must("0: accept").is_ok());
    new.must("send hello")?;
    claim_is("data arrives on the new connection", &server.call("recv 5")?, "ok 5 hello");
}

fn binds(stage: &Stage) -> Result<Agent, Broken> {
    let client = stage.client()?;
    client.must(&format!("bind {} {FROM}", Side::Client.address(stage.family())))?;
    Ok(client)
}
