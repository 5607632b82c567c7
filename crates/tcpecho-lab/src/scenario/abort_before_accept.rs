//! A connection that is reset while it waits in the accept queue (UNP 5.11).

use crate::impairment::Matcher;
use crate::stage::{Broken, PATIENCE, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "abort-before-accept",
    group: Some(Group::Queues),
    title: "a client resets its connection before accept",
    source: "UNP 5.11, accept(2)",
    question: "What does accept return for a connection that the client has already reset?",
    book: &[
        (
            "It depends on the system: Berkeley-derived kernels remove the connection from the \
             queue and the server never sees it, SVR4 returns EPROTO from accept, and POSIX \
             specifies ECONNABORTED. The server can simply call accept again.",
            &[Book("5.11")],
        ),
    ],
    kernel: &[
        (
            "None of these. accept returns the reset connection like any other, with the peer's \
             address.",
            &[
                Measured("accept returns a connection without an error"),
                Measured("accept reports the client's address"),
            ],
        ),
        (
            "accept(2) says that accept passes on errors that are already pending on the new \
             socket, and lists those of TCP/IP; a reset is not in the list.",
            &[Man("accept(2)"), Measured("accept returns a connection without an error")],
        ),
        (
            "Data that arrived before the RST can still be read; after that, read returns \
             ECONNRESET once and end of file from then on. getpeername fails with ENOTCONN.",
            &[
                Measured("the server reads the data"),
                Measured("the next read returns ECONNRESET"),
                Measured("the read after that returns end of file"),
                Measured("getpeername fails: the socket has no peer"),
            ],
        ),
    ];

    step "a client connects and closes with SO_LINGER set to zero, while the server is not in \
          accept";
    let server = stage.listening(10)?;
    let client = aborted(stage, None)?;
    claim("an RST ends the connection, not a FIN", stage.count(&Matcher::fin()) == 0);
    claim("the server's host has no socket left except the listening one", others(stage) == 0);
    claim("the connection still waits in the accept queue", waiting(stage) == 1);

    step "the server calls accept and reads";
    let accepted = server.call("0: accept")?;
    claim("accept returns a connection without an error", accepted.starts_with("ok 1 "));
    claim("accept reports the client's address", accepted.ends_with(&format!("peer={client}")));
    claim_is("getpeername fails: the socket has no peer", &server.call("getpeername")?, "ENOTCONN");
    claim_is("the first read returns ECONNRESET", &server.call("recv 100")?, "ECONNRESET");
    claim_is("the second read returns end of file", &server.call("recv 100")?, "ok 0");
    claim_is("the third read returns end of file, too", &server.call("recv 100")?, "ok 0");

    step "a second client does the same, and this time the server writes first";
    aborted(stage, None)?;
    server.must("0: accept")?;
    server.must("handler SIGPIPE norestart")?;
    claim_is("the first write returns ECONNRESET", &server.call("send hello")?, "ECONNRESET");
    claim_is("the first write raises no SIGPIPE", &server.call("caught")?, "ok 0");
    claim_is("the second write returns EPIPE", &server.call("send hello")?, "EPIPE");
    claim_is("the second write raises SIGPIPE", &server.call("caught")?, "ok 1");

    step "a third client sends data before it resets the connection";
    aborted(stage, Some("send hello"))?;
    server.must("0: accept")?;
    claim_is("the server reads the data", &server.call("recv 100")?, "ok 5 hello");
    claim_is("the next read returns ECONNRESET", &server.call("recv 100")?, "ECONNRESET");
    claim_is("the read after that returns end of file", &server.call("recv 100")?, "ok 0");

    step "a fourth client connects and sends data";
    let client = stage.joined(&server)?;
    client.must("send hello")?;
    claim_is(
        "the server accepts and serves the fourth client: the listening socket is unaffected",
        &server.call("recv 100")?, "ok 5 hello",
    );
}

/// A client that resets its connection; returns its address when the RST has arrived.
fn aborted(stage: &Stage, before: Option<&str>) -> Result<String, Broken> {
    let mark = stage.two().timeline.mark();
    let client = stage.connected_client()?;
    if let Some(line) = before {
        client.must(line)?;
        stage.two().wire.wait_delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    }
    let address = client.must("getsockname")?.replace("ok ", "");
    client.must("setsockopt linger 0")?;
    client.must("close")?;
    stage.two().wire.wait_delivered(&Matcher::rst().from_client(), mark, PATIENCE)?;
    Ok(address)
}

/// The number of sockets in the server's host that do not listen.
fn others(stage: &Stage) -> usize {
    let sockets = stage.two().server.sockets(stage.family());
    sockets.iter().filter(|socket| socket.state != TcpState::Listen).count()
}

/// The length of the accept queue.
fn waiting(stage: &Stage) -> u32 {
    let sockets = stage.two().server.sockets(stage.family());
    let listening = sockets.iter().find(|socket| socket.state == TcpState::Listen);
    listening.map_or(0, |socket| socket.rqueue)
}
