//! The behaviour that POSIX specifies: accept fails with ECONNABORTED (UNP 5.11). Linux never does this, so the lab injects it.

use crate::impairment::Matcher;
use crate::tracer::When;
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, PORT, Stage};
use rustix::io::Errno;
use tcpecho_os::process::Exit;
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "abort-before-accept-posix",
    group: Some(Group::Queues),
    title: "accept fails with ECONNABORTED, as POSIX specifies",
    source: "UNP 5.11, accept(2)",
    question: "What happens to a server whose accept reports that a client has reset its \
               connection?",
    book: &[
        (
            "POSIX specifies ECONNABORTED. EPROTO would be ambiguous: fatal protocol errors \
             return it as well, and the server could not know whether to call accept again. After \
             ECONNABORTED it can simply do so.",
            &[Book("5.11")],
        ),
    ],
    kernel: &[
        (
            "accept(2) lists this error, but Linux does not return it here (see \
             abort-before-accept), so the lab answers the first accept in the kernel's place.",
            &[
                Man("accept(2)"),
                Lab("abort-before-accept"),
                Measured("accept fails with ECONNABORTED"),
            ],
        ),
        (
            "Where accept reports it, any client can stop a server that exits on every error of \
             accept. A server that calls accept again serves the next client normally.",
            &[
                Measured("the other client is refused: the first one has stopped the server"),
                Measured("the server serves the client"),
            ],
        ),
    ];

    step "a client connects; the wire holds its final ACK, so that the server's kernel has nothing \
          to accept yet";
    stage.need_injection()?;
    let server = listening(stage)?;
    let (client, held) = (stage.client()?, stage.hold(Matcher::ack().from_client()));
    claim_is(
        "the client's side of the connection is established",
        &client.call(&stage.connect_line())?, "ok",
    );

    step "the client closes with SO_LINGER set to zero";
    client.must("setsockopt linger 0")?;
    client.must("close")?;
    claim_packet("an RST arrives at the server's host", &Matcher::rst().from_client());
    stage.discard(&held)?;
    claim_none_left("the server's host has no socket of the connection", Side::Server, PORT);
    claim("no connection waits for accept", waiting(stage) == 0);

    step "a server that exits on any error calls accept; the lab answers it";
    claim_is("accept fails with ECONNABORTED", &server.call("accept or exit")?, "ECONNABORTED");
    let ended = server.program().wait(PATIENCE)?.1;
    claim("the server exits with status 1", ended == Exit::Exited(1));

    step "another client connects";
    let late = stage.client()?;
    claim_is(
        "the other client is refused: the first one has stopped the server",
        &late.call(&stage.connect_line())?, "ECONNREFUSED",
    );

    step "another server, which calls accept again after ECONNABORTED, gets the same error";
    let server = listening(stage)?;
    server.begin("accept again")?;
    let told = server.program().wait_asleep_in(tcpecho_lab_os::system_call::ACCEPT4, PATIENCE);
    claim("the server waits in its second accept", told.is_ok());

    step "another client connects";
    let honest = stage.connected_client()?;
    claim(
        "the second accept returns the client's connection",
        server.outcome()?.starts_with("ok 1 "),
    );
    honest.must("send hello")?;
    claim_is("the server serves the client", &server.call("recv 100")?, "ok 5 hello");
}

/// A server whose first accept will fail.
fn listening(stage: &Stage) -> Result<Agent, Broken> {
    stage.listening_with(10, |launch| launch.inject("accept", When::Nth(1), Errno::CONNABORTED))
}

/// The number of connections that wait for accept.
fn waiting(stage: &Stage) -> u32 {
    let sockets = stage.two().server.sockets(stage.family());
    let listening = sockets.iter().find(|socket| socket.state == TcpState::Listen);
    listening.map_or(u32::MAX, |socket| socket.rqueue)
}
