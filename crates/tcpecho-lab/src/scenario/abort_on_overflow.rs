//! The accept queue fills up during a handshake, and the server answers with RST (UNP 4.5, tcp(7)).

use super::third_ack_dropped::pass;
use crate::impairment::{Matcher, Rule};
use crate::stage::PATIENCE;

scenario! { stage;
    name: "abort-on-overflow",
    group: Some(Group::Queues),
    title: "a full accept queue is answered with RST",
    source: "UNP 4.5, tcp(7)",
    question: "Should a server with a full accept queue refuse clients instead of ignoring \
               them?",
    book: &[
        (
            "No. With an RST, connect would fail at once, and the client could not tell \"there \
             is no server on this port\" from \"the server's queue is full\". So TCP sends none.",
            &[Book("4.5")],
        ),
    ],
    kernel: &[
        (
            "With net.ipv4.tcp_abort_on_overflow the kernel sends an RST, but only in answer to \
             the final ACK of a handshake. connect has already succeeded by then, and the \
             client's next read fails with ECONNRESET.",
            &[
                Sysctl("net.ipv4.tcp_abort_on_overflow"),
                Measured("the server answers with RST"),
                Measured("the client, whose connect had succeeded, reads ECONNRESET"),
            ],
        ),
        (
            "A SYN is still dropped silently.",
            &[Measured("the SYN is dropped"), Measured("only one RST was sent in all")],
        ),
    ];

    step "a server listens with backlog 2, which leaves room for three connections, and two \
          clients connect";
    stage.two().server.set_sysctl("net.ipv4.tcp_abort_on_overflow", "1")?;
    let _server = stage.listening(2)?;
    let _queued = stage.queued_clients(2)?;

    step "two more clients connect, and the wire holds the final ACK of each handshake";
    stage.wire_rule(Rule::hold(Matcher::ack().from_client()));
    let (lucky, unlucky) = (stage.client()?, stage.client()?);
    claim_is("connect returns for the first client", &lucky.call(&stage.connect_line())?, "ok");
    claim_is("connect returns for the second client", &unlucky.call(&stage.connect_line())?, "ok");

    step "the first ACK is released and takes the last place";
    pass(stage, lucky.port()?)?;
    claim("no connection has been reset", stage.count(&Matcher::rst()) == 0);

    step "the second ACK is released";
    let port = unlucky.port()?;
    pass(stage, port)?;
    claim_packet("the server answers with RST", &Matcher::rst().from_server().port(port));
    claim_is(
        "the client, whose connect had succeeded, reads ECONNRESET",
        &unlucky.call("recv 10")?, "ECONNRESET",
    );
    let knows = stage.two().server.sockets(stage.family());
    let knows = knows.iter().any(|socket| socket.remote.port() == port);
    claim("the server's kernel has removed the connection", !knows);
    stage.two().wire.clear();

    step "one more client sends a SYN while the queue is still full";
    let before = stage.two().server.counter("TcpExt.ListenOverflows")?;
    let mark = stage.two().timeline.mark();
    let late = stage.client()?;
    late.begin(&stage.connect_line())?;
    stage.two().wire.wait_delivered(&Matcher::syn().from_client(), mark, PATIENCE)?;
    let mark = stage.two().timeline.mark();
    let after = stage.two().server.counter("TcpExt.ListenOverflows")?;
    claim("the SYN is dropped", after > before);
    let again = stage.two().wire.wait_delivered(&Matcher::syn().from_client(), mark, PATIENCE);
    claim("the SYN is retransmitted, because no RST answered it", again.is_ok());
    claim("only one RST was sent in all", stage.count(&Matcher::rst()) == 1);
}
