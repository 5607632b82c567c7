//! The listener closes while connections are queued (listen(2), UNP 4.5).

use crate::impairment::Matcher;
use crate::side::Side;

scenario! { stage;
    name: "listener-closes",
    group: Some(Group::Queues),
    title: "the listener closes with connections in its queue",
    source: "UNP 4.5, RFC 9293 3.10.4",
    question: "A server is restarted while clients are in its accept queue. What happens to them?",
    book: &[
        (
            "Connections whose handshake is complete wait in a queue of the listener until accept \
             takes them.",
            &[Book("4.5")],
        ),
    ],
    kernel: &[
        (
            "Every connection in the queue is reset, also those whose data was acknowledged. A \
             connection that was accepted is not touched. A SYN that comes after that is refused.",
            &[
                Code("inet_csk_listen_stop", "net/ipv4/inet_connection_sock.c"),
                Measured("the second client's connection is reset"),
                Measured("the third client reads ECONNRESET: its line is lost"),
                Measured("the server reads the accepted client's line"),
                Measured("connect fails with ECONNREFUSED"),
            ],
        ),
    ];

    step "one client is accepted, and two more are queued; one of them has sent a line";
    let (accepted, server) = stage.connected()?;
    let (silent, speaker) = (stage.client()?, stage.client()?);
    claim_is("connect succeeds for the second client", &silent.call(&stage.connect_line())?, "ok");
    claim_is("connect succeeds for the third client", &speaker.call(&stage.connect_line())?, "ok");
    claim_is("the third client sends a line", &speaker.call("send hello")?, "ok 5");
    let acknowledged = Matcher::ack().from_server().port(speaker.port()?);
    claim_packet("the third client's line is acknowledged", &acknowledged);
    stage.wait_for_queue(2)?;

    step "the server closes its listener";
    server.must("0: close")?;
    claim_packet("the second client's connection is reset", &Matcher::rst().from_server().port(silent.port()?));
    claim_packet("the third client's connection is reset, too", &Matcher::rst().from_server().port(speaker.port()?));
    claim_is("the second client reads ECONNRESET", &silent.call("recv 100")?, "ECONNRESET");
    claim_is("the third client reads ECONNRESET: its line is lost", &speaker.call("recv 100")?, "ECONNRESET");

    step "the accepted client sends a line";
    claim_is("the accepted client's send succeeds", &accepted.call("send still here")?, "ok 10");
    claim_is("the server reads the accepted client's line", &server.call("recv 100")?, "ok 10 still here");

    step "another client connects";
    let late = stage.client()?;
    claim_is("connect fails with ECONNREFUSED", &late.call(&stage.connect_line())?, "ECONNREFUSED");
    claim_none_left("nothing is left of the second client's connection", Side::Server, silent.port()?);
}
