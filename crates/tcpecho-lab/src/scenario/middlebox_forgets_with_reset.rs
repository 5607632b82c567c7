//! A middlebox forgets an idle connection and answers the segments that follow with RST (RFC 5382).

use crate::impairment::{Matcher, Rule};
use crate::packet::reset_sender;
use crate::side::Side;
use crate::stage::{Broken, PATIENCE, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "middlebox-forgets-with-reset",
    group: Some(Group::Path),
    title: "a middlebox forgets the connection and sends RST",
    source: "RFC 5382 5, after UNP 5.15",
    question: "A firewall forgets an idle connection and answers its segments with RST. What \
               do client and server see?",
    book: &[
        (
            "A NAT may forget an idle connection, but it must keep it for 2 hours and 4 minutes.",
            &[Rfc(5382, "5")],
        ),
        (
            "To the client this looks like a host that has crashed and rebooted: ECONNRESET.",
            &[Book("5.15")],
        ),
    ],
    kernel: &[
        (
            "The side that sends gets ECONNRESET at once. The other side notices nothing until it \
             sends a segment itself.",
            &[
                Measured("recv fails with ECONNRESET"),
                Measured("the server is ESTABLISHED: it has not received an RST"),
                Measured("the server's recv then fails with ECONNRESET"),
            ],
        ),
    ];

    step "a client and a server exchange data";
    let (client, server) = stage.connected()?;
    client.must("send before")?;
    let read = server.call("recv 100")?;
    claim_is("the server reads what the client sent", &read, "ok 6 before");
    claim_packet("the server's kernel acknowledges the data", &Matcher::ack().from_server());

    step "the middlebox forgets the connection, and the client sends";
    stage.wire_rule(Rule::hold(Matcher::data()).because("no such connection"));
    claim_is("send succeeds", &client.call("send after")?, "ok 5");
    reset_sender_of(stage, &Matcher::data().from_client())?;
    claim_is("recv fails with ECONNRESET", &client.call("recv 100")?, "ECONNRESET");
    claim_is("the next recv returns end of file", &client.call("recv 100")?, "ok 0");
    claim_is("a further send fails with EPIPE", &client.call("send more")?, "EPIPE");
    let left = stage.two().client.sockets(stage.family()).len();
    claim("the client's kernel has removed the connection", left == 0);

    step "the server sends";
    claim_state(
        "the server is ESTABLISHED: it has not received an RST",
        Side::Server, TcpState::Established,
    );
    claim_is("the server's send succeeds, too", &server.call("send after")?, "ok 5");
    reset_sender_of(stage, &Matcher::data().from_server())?;
    claim_is("the server's recv then fails with ECONNRESET", &server.call("recv 100")?, "ECONNRESET");
}

/// The middlebox answers the packets that it holds in the receiver's name and discards them.
fn reset_sender_of(stage: &Stage, data: &Matcher) -> Result<(), Broken> {
    let wire = &stage.two().wire;
    let seen = wire.wait_for(data, 0, PATIENCE)?;
    wire.discard(data);
    if let Some(reset) = reset_sender(&seen.packet) {
        wire.inject(seen.from, &reset, "from the middlebox");
    }
    Ok(())
}
