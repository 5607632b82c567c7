//! One client that sends half a line stops a server that reads lines (UNP 6.8).

use crate::impairment::Matcher;
use crate::stage::PATIENCE;

scenario! { stage;
    name: "half-a-line",
    group: Some(Group::Data),
    title: "half a line stops a server with select",
    source: "UNP 6.8",
    question: "A server waits for all its clients with select and reads lines. One client sends a byte \
               without a newline. What do the others see?",
    book: &[
        (
            "The server blocks in its read of the rest of the line and serves nobody. Cures are \
             nonblocking sockets, a process or thread for each client, or a timeout.",
            &[Book("6.8")],
        ),
    ],
    kernel: &[
        (
            "The same. The other clients are connected, and their data is acknowledged.",
            &[
                Measured("the server waits for the rest of the first line"),
                Measured("the second client's line is acknowledged"),
                Measured("no reply comes"),
                Measured("the server reads the second client's line"),
            ],
        ),
    ];

    step "two clients are connected, and the first sends half a line";
    let (first, server) = stage.connected()?;
    let second = stage.joined(&server)?;
    first.must("send half")?;
    stage.two().wire.wait_delivered(&Matcher::data().from_client(), 0, PATIENCE)?;
    claim_is("poll reports the first client's socket", &server.call("1: poll 0 in")?, "ok 0x1");
    server.begin("1: gets")?;
    server.program().wait_asleep(PATIENCE)?;

    step "the second client sends a whole line";
    second.must("line hello")?;
    claim_packet("the second client's line is acknowledged", &Matcher::ack().from_server().port(second.port()?));
    second.must("setsockopt rcvtimeo 200")?;
    claim_is("no reply comes", &second.call("recv 100")?, "EAGAIN");
    claim("the server waits for the rest of the first line", server.program().state() == Some('S'));

    step "the first client sends the rest";
    first.must("line  a line")?;
    claim_is("the server reads the first client's line", &server.outcome()?, "ok 12 half a line\\n");
    claim_is("the server reads the second client's line", &server.call("2: gets")?, "ok 6 hello\\n");
}
