//! A server is restarted while old connections still use its port (UNP 7.5, socket(7)).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, PORT, Played, Stage};
use tcpecho_os::tcp_state::TcpState;

scenario! { stage;
    name: "bind-in-use-by-time-wait",
    group: Some(Group::Startup),
    title: "a server is restarted",
    source: "UNP 7.5, socket(7)",
    question: "The server has exited, and a connection on its port is in TIME_WAIT. Can the \
               server be restarted?",
    book: &[
        (
            "Without SO_REUSEADDR, bind fails while connections on the port exist, for instance \
             in a child of the old server. A server sets the option before bind and can then be \
             restarted.",
            &[Book("7.5")],
        ),
    ],
    kernel: &[
        (
            "It is not enough that the new server sets the option: the old one must have set it \
             as well, because its connections inherit it. bind works when both have it and fails \
             with EADDRINUSE in the other three cases.",
            &[
                Man("socket(7)"),
                Measured("a new server with the option cannot bind either"),
                Measured("a new server without the option still cannot bind"),
                Measured("a new server with the option can bind and listen"),
            ],
        ),
        (
            "If the client closed first, the server has no TIME_WAIT and needs no option.",
            &[Measured("a new server needs no option when the client has closed first")],
        ),
    ];

    step "a server without SO_REUSEADDR closes a connection first and exits";
    leave_time_wait(stage, "off")?;
    claim_state(
        "the server's end of the connection is in TIME_WAIT",
        Side::Server, TcpState::TimeWait,
    );
    claim_is("a new server without the option cannot bind", &restart(stage, "off")?, "EADDRINUSE");
    claim_is(
        "a new server with the option cannot bind either",
        &restart(stage, "on")?, "EADDRINUSE",
    );

    step "TIME_WAIT ends (the lab removes the socket)";
    forget(stage)?;
    claim_is("after TIME_WAIT bind works without any option", &restart(stage, "off")?, "ok");

    step "a server with SO_REUSEADDR closes a connection first and exits";
    leave_time_wait(stage, "on")?;
    claim_state(
        "the end of the server with SO_REUSEADDR is in TIME_WAIT, too",
        Side::Server, TcpState::TimeWait,
    );
    claim_is(
        "a new server without the option still cannot bind",
        &restart(stage, "off")?, "EADDRINUSE",
    );
    claim_is("a new server with the option can bind and listen", &restart(stage, "on")?, "ok");
    claim_state("the connection is in TIME_WAIT all the while", Side::Server, TcpState::TimeWait);
    forget(stage)?;

    step "a server without SO_REUSEADDR closes its listening socket and keeps serving a client";
    let (_client, serving) = still_serving(stage, "off")?;
    claim_is("a new server with the option cannot bind", &restart(stage, "on")?, "EADDRINUSE");
    abort(&serving)?;

    step "the same, with SO_REUSEADDR on every socket";
    let (_client, serving) = still_serving(stage, "on")?;
    claim_is("a new server with the option can bind", &restart(stage, "on")?, "ok");
    claim_is("the old server can still send to its client", &serving.call("send hello")?, "ok 5");
    abort(&serving)?;

    step "a server without SO_REUSEADDR exits after its client has closed first";
    let (client, server) = made(stage, "off")?;
    client.must("close")?;
    claim_is("the server reads end of file", &server.call("recv 10")?, "ok 0");
    let mark = stage.two().timeline.mark();
    server.must("close")?;
    server.must("0: close")?;
    stage.two().wire.wait_delivered(&Matcher::ack().from_client(), mark, PATIENCE)?;
    claim_state(
        "the client's end of the connection is in TIME_WAIT",
        Side::Client, TcpState::TimeWait,
    );
    claim_is("a new server needs no option when the client has closed first", &restart(stage, "off")?, "ok");
}

/// A server with or without the option, and a client whose connection it has accepted.
fn made(stage: &Stage, option: &str) -> Result<(Agent, Agent), Broken> {
    let server = socket_with(stage, option)?;
    server.must(&bind_line(stage))?;
    server.must("listen 10")?;
    let client = stage.connected_client()?;
    server.must("accept")?;
    Ok((client, server))
}

fn leave_time_wait(stage: &Stage, option: &str) -> Played {
    let (client, server) = made(stage, option)?;
    server.must("close")?;
    client.must("recv 10")?;
    client.must("close")?;
    let host = &stage.two().server;
    host.wait_for_state(stage.family(), PORT, TcpState::TimeWait, PATIENCE)?;
    server.must("0: close")?;
    Ok(())
}

/// Like a parent that exits and leaves a child: the listening socket goes, the connection stays.
fn still_serving(stage: &Stage, option: &str) -> Result<(Agent, Agent), Broken> {
    let (client, server) = made(stage, option)?;
    server.must("0: close")?;
    Ok((client, server))
}

/// The result of a new server's bind; the server listens if it can, and is closed afterwards.
fn restart(stage: &Stage, option: &str) -> Result<String, Broken> {
    let server = socket_with(stage, option)?;
    let answer = server.call(&bind_line(stage))?;
    if answer == "ok" {
        server.must("listen 10")?;
    }
    server.must("close")?;
    Ok(answer)
}

fn socket_with(stage: &Stage, option: &str) -> Result<Agent, Broken> {
    let server = stage.agent(Side::Server)?;
    server.must(&format!("socket {}", stage.number()))?;
    server.must(&format!("setsockopt reuseaddr {option}"))?;
    Ok(server)
}

fn bind_line(stage: &Stage) -> String {
    format!("bind {} {PORT}", stage.family().any())
}

/// Removes TIME_WAIT without waiting a minute.
fn forget(stage: &Stage) -> Played {
    stage.two().server.states()?.destroy_all();
    Ok(())
}

/// Resets its connection, so that nothing of it remains.
fn abort(server: &Agent) -> Played {
    server.must("setsockopt linger 0")?;
    server.must("close")?;
    Ok(())
}
