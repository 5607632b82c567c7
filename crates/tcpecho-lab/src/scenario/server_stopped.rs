//! A server that does not run still has its kernel (UNP 4.5, 5.15 and listen(2)).

use crate::impairment::Matcher;
use crate::stage::PATIENCE;

scenario! { stage;
    name: "server-stopped",
    group: Some(Group::Failures),
    title: "the server's process is stopped",
    source: "UNP 4.5, 14.2, signal(7), tcp(7)",
    question: "The server's process is stopped by a debugger, or swapped out, or stuck. How does a \
               client notice?",
    book: &[
        (
            "The kernel completes handshakes without the process.",
            &[Book("4.5")],
        ),
        (
            "A client that must not wait for ever sets a timeout of its own.",
            &[Book("14.2")],
        ),
    ],
    kernel: &[
        (
            "The server's kernel acknowledges data while the receive buffer has room, and \
             completes handshakes while the accept queue has room. No reply is sent.",
            &[
                Measured("the server's kernel acknowledges the data"),
                Measured("connect succeeds"),
                Measured("recv ends when its own SO_RCVTIMEO is over"),
                Lab("zero-window"),
                Lab("backlog-full"),
            ],
        ),
        (
            "Neither keepalive nor TCP_USER_TIMEOUT ends the connection, because the server's \
             kernel answers. When the receive buffer is full, TCP_USER_TIMEOUT does end it.",
            &[
                Man("tcp(7)"),
                Measured("the client's kernel sends a keepalive probe"),
                Measured("the server's kernel answers the probe"),
                Measured("nothing is unacknowledged, so TCP_USER_TIMEOUT does not apply"),
                Measured("the connection is ESTABLISHED"),
                Lab("zero-window-user-timeout"),
            ],
        ),
    ];

    step "a client is connected, with TCP_USER_TIMEOUT of 0.2 s and keepalive after one second, and \
          the server is stopped";
    let (client, server) = stage.connected()?;
    client.must("setsockopt user_timeout 200")?;
    client.must("setsockopt keepalive 1 5 1")?;
    server.program().stop()?;
    let mark = stage.two().timeline.mark();
    claim_is("the client's send succeeds", &client.call("send hello")?, "ok 5");
    claim_packet_since(
        "the server's kernel acknowledges the data",
        mark, &Matcher::ack().from_server(),
    );

    step "the client waits for a reply";
    client.must("setsockopt rcvtimeo 1500")?;
    let mark = stage.two().timeline.mark();
    claim_is("recv ends when its own SO_RCVTIMEO is over", &client.call("recv 100")?, "EAGAIN");
    let (probe, answer) = (Matcher::ack().from_client(), Matcher::ack().from_server());
    claim_packet_since("the client's kernel sends a keepalive probe", mark, &probe);
    claim_packet_since("the server's kernel answers the probe", mark, &answer);
    let info = client.must("getsockopt info")?;
    claim("nothing is unacknowledged, so TCP_USER_TIMEOUT does not apply", info.contains("unacked=0 "));
    claim("the connection is ESTABLISHED", info.starts_with("ok ESTABLISHED "));

    step "another client connects";
    let other = stage.client()?;
    claim_is("connect succeeds", &other.call(&stage.connect_line())?, "ok");
    claim_is("the other client's send succeeds, too", &other.call("send more")?, "ok 4");
    stage.wait_for_queue(1)?;

    step "the server continues";
    server.program().go_on()?;
    claim_is("the server reads the data that its kernel has kept", &server.call("recv 100")?, "ok 5 hello");
    claim("the server accepts the other client", server.call("0: accept")?.starts_with("ok"));
    let more = Matcher::data().from_client().port(other.port()?);
    stage.two().wire.wait_delivered(&more, 0, PATIENCE)?;
    claim_is("the server reads what the other client sent", &server.call("recv 100")?, "ok 4 more");
    claim("no RST and no FIN was sent", stage.count(&Matcher::rst()) + stage.count(&Matcher::fin()) == 0);
}
