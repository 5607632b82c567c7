//! An iterative server serves one client, and the others wait without being told (UNP 1.5, 4.5).

use crate::impairment::Matcher;
use crate::stage::PATIENCE;

scenario! { stage;
    name: "server-busy",
    group: Some(Group::Queues),
    title: "an iterative server is busy with another client",
    source: "UNP 1.5, 4.5, 4.8",
    question: "An iterative server serves a client that says nothing. What does the next client see?",
    book: &[
        (
            "The kernel completes the handshake and queues the connection until the server calls \
             accept.",
            &[Book("4.5")],
        ),
        (
            "An iterative server calls accept again only when it is done with the previous client.",
            &[Book("1.5"), Book("4.8")],
        ),
    ],
    kernel: &[
        (
            "The same. connect and send succeed, and the data is acknowledged; the reply comes \
             when the first client has closed. Nothing tells the waiting client how long that \
             will be.",
            &[
                Measured("connect succeeds"),
                Measured("the server's kernel acknowledges the data"),
                Measured("no reply comes"),
                Measured("the second client reads its reply"),
            ],
        ),
    ];

    step "an iterative server serves a client that says nothing";
    let (first, server) = stage.connected()?;
    server.begin("echo end")?;
    server.program().wait_asleep(PATIENCE)?;

    step "a second client connects and sends a line";
    let second = stage.client()?;
    claim_is("connect succeeds", &second.call(&stage.connect_line())?, "ok");
    claim_is("send succeeds", &second.call("send hello")?, "ok 5");
    let acknowledged = Matcher::ack().from_server().port(second.port()?);
    claim_packet("the server's kernel acknowledges the data", &acknowledged);
    second.must("setsockopt rcvtimeo 200")?;
    claim_is("no reply comes", &second.call("recv 100")?, "EAGAIN");

    step "the first client closes";
    first.must("close")?;
    claim_is("the server has echoed nothing to the first client", &server.outcome()?, "ok 0");
    server.must("close")?;
    server.must("0: accept")?;
    server.begin("echo 5")?;
    second.must("setsockopt rcvtimeo 0")?;
    claim_is("the second client reads its reply", &second.call("recv 100")?, "ok 5 hello");
    claim_is("the server has echoed the second client's line", &server.outcome()?, "ok 5");
}
