//! A server is started again while old connections still have its port (UNP 2.7, 7.5).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Actor, Broken, PATIENCE, PORT, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "bind-in-use-by-time-wait",
        title: "a server is started again",
        source: "UNP 2.7, 7.5",
        question: "The server has ended, and a connection of its port is in TIME_WAIT; can it be \
                   started again?",
        book: "Without SO_REUSEADDR bind fails with EADDRINUSE as long as connections of the port \
               exist, in TIME_WAIT or in the hands of a child; a server sets the option before \
               bind, and then it can be started again.",
        kernel: "It is not enough that the new server sets it: the old one must have had it as \
                 well, because its connections inherit it. With the option on both, bind works; in \
                 the other three cases it does not. If the client closed first, the server has no \
                 TIME_WAIT, and nothing is needed.",
        timers: &[],
        steps: &[
            Step {
                does: "a server without SO_REUSEADDR closes a connection first, and ends",
                claims: &[
                    "its end of the connection is in TIME_WAIT",
                    "a new server without the option cannot bind",
                    "nor can one with the option",
                ],
            },
            Step {
                does: "the TIME_WAIT is over (the lab removes it)",
                claims: &[
                    "now bind works, without any option",
                ],
            },
            Step {
                does: "a server with SO_REUSEADDR closes a connection first, and ends",
                claims: &[
                    "its end of the connection is in TIME_WAIT, too",
                    "a new server without the option still cannot bind",
                    "one with the option can, and listens",
                    "all the while the connection is in TIME_WAIT",
                ],
            },
            Step {
                does: "a server without SO_REUSEADDR closes its listening socket, and goes on to \
                       serve a client",
                claims: &[
                    "a new server with the option cannot bind",
                ],
            },
            Step {
                does: "the same, all with SO_REUSEADDR",
                claims: &[
                    "a new server with the option gets the port",
                    "and the old one still has its client",
                ],
            },
            Step {
                does: "a server without SO_REUSEADDR ends, and its client has closed first",
                claims: &[
                    "the server reads the end",
                    "TIME_WAIT is with the client",
                    "a new server needs no option",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a server without SO_REUSEADDR closes a connection first, and ends");
    leave_time_wait(stage, "off")?;
    stage.claim_state("its end of the connection is in TIME_WAIT", Side::Server, TcpState::TimeWait);
    stage.claim_is("a new server without the option cannot bind", &restart(stage, "off")?, "EADDRINUSE");
    stage.claim_is("nor can one with the option", &restart(stage, "on")?, "EADDRINUSE");

    stage.step("the TIME_WAIT is over (the lab removes it)");
    forget(stage)?;
    stage.claim_is("now bind works, without any option", &restart(stage, "off")?, "ok");

    stage.step("a server with SO_REUSEADDR closes a connection first, and ends");
    leave_time_wait(stage, "on")?;
    stage.claim_state("its end of the connection is in TIME_WAIT, too", Side::Server, TcpState::TimeWait);
    stage.claim_is("a new server without the option still cannot bind", &restart(stage, "off")?, "EADDRINUSE");
    stage.claim_is("one with the option can, and listens", &restart(stage, "on")?, "ok");
    stage.claim_state("all the while the connection is in TIME_WAIT", Side::Server, TcpState::TimeWait);
    forget(stage)?;

    stage.step("a server without SO_REUSEADDR closes its listening socket, and goes on to serve a client");
    let (_client, serving) = still_serving(stage, "off")?;
    stage.claim_is("a new server with the option cannot bind", &restart(stage, "on")?, "EADDRINUSE");
    abort(&serving)?;

    stage.step("the same, all with SO_REUSEADDR");
    let (_client, serving) = still_serving(stage, "on")?;
    stage.claim_is("a new server with the option gets the port", &restart(stage, "on")?, "ok");
    stage.claim_is("and the old one still has its client", &serving.call("send hello")?, "ok 5");
    abort(&serving)?;

    stage.step("a server without SO_REUSEADDR ends, and its client has closed first");
    let (client, server) = made(stage, "off")?;
    client.must("close")?;
    stage.claim_is("the server reads the end", &server.call("recv 10")?, "ok 0");
    let mark = stage.two().timeline.mark();
    server.must("close")?;
    server.must("0: close")?;
    stage.two().wire.wait_delivered(&Matcher::ack().from_client(), mark, PATIENCE)?;
    stage.claim_state("TIME_WAIT is with the client", Side::Client, TcpState::TimeWait);
    stage.claim_is("a new server needs no option", &restart(stage, "off")?, "ok");
    Ok(())
}

/// A server with or without the option, and a client that it has accepted.
fn made(stage: &Stage, option: &str) -> Result<(Actor, Actor), Broken> {
    let server = socket_with(stage, option)?;
    server.must(&bind_line(stage))?;
    server.must("listen 10")?;
    let client = stage.client()?;
    client.must(&stage.connect_line())?;
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

/// As a parent that ends and leaves a child: the listening socket goes, the connection stays.
fn still_serving(stage: &Stage, option: &str) -> Result<(Actor, Actor), Broken> {
    let (client, server) = made(stage, option)?;
    server.must("0: close")?;
    Ok((client, server))
}

/// What a new server's bind comes to; it listens if it can, and is gone afterwards.
fn restart(stage: &Stage, option: &str) -> Result<String, Broken> {
    let server = socket_with(stage, option)?;
    let answer = server.call(&bind_line(stage))?;
    if answer == "ok" {
        server.must("listen 10")?;
    }
    server.must("close")?;
    Ok(answer)
}

fn socket_with(stage: &Stage, option: &str) -> Result<Actor, Broken> {
    let server = stage.actor(Side::Server)?;
    server.must(&format!("socket {}", stage.number()))?;
    server.must(&format!("setsockopt reuseaddr {option}"))?;
    Ok(server)
}

fn bind_line(stage: &Stage) -> String {
    format!("bind {} {PORT}", stage.family().any())
}

/// Without waiting the minute.
fn forget(stage: &Stage) -> Played {
    stage.two().server.states()?.destroy_all();
    Ok(())
}

/// Ends its connection so that nothing of it remains.
fn abort(server: &Actor) -> Played {
    server.must("setsockopt linger 0")?;
    server.must("close")?;
    Ok(())
}
