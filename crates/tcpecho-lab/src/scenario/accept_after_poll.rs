//! poll has reported a connection, and it is reset before accept (UNP 16.6).

use crate::impairment::Matcher;
use crate::stage::PATIENCE;

scenario! { stage;
    name: "accept-after-poll",
    group: Some(Group::Queues),
    title: "poll reports a connection that is reset before accept",
    source: "UNP 16.6, accept(2)",
    question: "select has reported the listener as readable, and the client resets its connection \
               before accept. Does accept block?",
    book: &[
        (
            "In systems derived from Berkeley the connection leaves the queue, and accept blocks \
             until another client comes, while all other clients wait. So a listener that is used \
             with select must be nonblocking.",
            &[Book("16.6")],
        ),
    ],
    kernel: &[
        (
            "The connection stays in the queue, so accept returns it, and the first read fails \
             with ECONNRESET.",
            &[
                Measured("poll still reports POLLIN"),
                Measured("accept returns the connection"),
                Measured("a read fails with ECONNRESET"),
            ],
        ),
        (
            "A listener must be nonblocking all the same: another process or thread may have \
             taken the connection.",
            &[Man("accept(2)"), Measured("accept on the nonblocking listener fails with EAGAIN")],
        ),
    ];

    step "a client connects, and the server polls its listener";
    let server = stage.listening(10)?;
    let client = stage.client()?;
    client.must("setsockopt linger 0")?;
    client.must(&stage.connect_line())?;
    stage.wait_for_queue(1)?;
    claim_is("poll reports POLLIN", &server.call("poll 0 in")?, "ok 0x1");

    step "the client resets the connection before the server calls accept";
    client.must("close")?;
    stage.two().wire.wait_delivered(&Matcher::rst().from_client(), 0, PATIENCE)?;
    claim_is("poll still reports POLLIN", &server.call("poll 0 in")?, "ok 0x1");
    server.must("nonblocking on")?;
    claim("accept returns the connection", server.call("accept")?.starts_with("ok 1 "));
    claim_is("a read fails with ECONNRESET", &server.call("recv 100")?, "ECONNRESET");

    step "the server calls accept once more, as after a connection that another process took";
    claim_is("accept on the nonblocking listener fails with EAGAIN", &server.call("0: accept")?, "EAGAIN");
}
