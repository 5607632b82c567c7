//! A middlebox drops an idle connection from its table and discards the segments that follow (RFC 5382, UNP 5.14).

use std::time::Duration;

use crate::impairment::{Matcher, Rule};
use crate::pace::Timer;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "middlebox-forgets-silently",
    group: Some(Group::Path),
    title: "a middlebox forgets the connection and sends nothing",
    source: "RFC 5382 5, after UNP 5.14",
    question: "A NAT or a firewall forgets a connection that has been idle for a long time and \
               drops its segments. What do client and server see?",
    book: &[
        (
            "A NAT may forget an idle connection, but it must keep it for 2 hours and 4 minutes.",
            &[Rfc(5382, "5")],
        ),
        (
            "To the client this looks like a host that has crashed: its segments get no answer.",
            &[Book("5.14")],
        ),
    ],
    kernel: &[
        (
            "recv fails with ETIMEDOUT when retransmission gives up, as after a crash, but a new \
             connection works at once.",
            &[
                Measured("recv fails with ETIMEDOUT"),
                Measured("connect succeeds: the host was never down"),
            ],
        ),
        (
            "The server keeps the old connection, unless it sends data or has SO_KEEPALIVE set.",
            &[Measured("the server still waits for data"), Man("socket(7)")],
        ),
    ],
    timers: &[Timer::Retransmission];

    step "a client and a server exchange data";
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    stage.shorten(Side::Client, Timer::Retransmission, &[1])?;
    let (client, server) = stage.connected()?;
    client.must("send before")?;
    let read = server.call("recv 100")?;
    claim_is("the server reads what the client sent", &read, "ok 6 before");
    claim_packet("the server's kernel acknowledges the data", &Matcher::ack().from_server());

    step "the connection is idle until the middlebox forgets it";
    let name = client.must("getsockname")?;
    let port = name.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default();
    let forgotten = Rule::drop(Matcher::any_tcp().port(port));
    stage.wire_rule(forgotten.because("no such connection"));
    server.begin("recv 100")?;

    step "the client sends and waits for a reply";
    claim_is("send succeeds", &client.call("send after")?, "ok 5");
    claim_is("recv fails with ETIMEDOUT", &client.call("recv 100")?, "ETIMEDOUT");
    let sent = stage.count(&Matcher::data().from_client().containing("after"));
    claim("the data was sent more than once", sent > 1);
    claim_state("the server is ESTABLISHED", Side::Server, TcpState::Established);
    let unread = server.program().lines().len();
    claim("the server still waits for data", unread == 6);

    step "another client connects through the same middlebox";
    let next = stage.client()?;
    let line = stage.connect_line();
    claim_is("connect succeeds: the host was never down", &next.call(&line)?, "ok");
}
