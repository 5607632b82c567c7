//! A signal while accept waits (UNP 5.9).

use super::Scenario;
use crate::stage::{Actor, Broken, PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_lab_os::system_call::ACCEPT4;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "eintr-on-accept",
        title: "a child ends while its parent waits in accept",
        source: "UNP 5.9",
        question: "What does accept do when SIGCHLD interrupts it?",
        book: "A slow system call may return EINTR when a signal has been caught; some kernels \
               restart it by themselves, and with SA_RESTART more of them do, so a portable server \
               is prepared for EINTR and calls accept again.",
        kernel: "Without SA_RESTART accept returns EINTR; with it, it goes on, but not if the \
                 listening socket has SO_RCVTIMEO: then it returns EINTR all the same. A signal \
                 that nobody catches interrupts nothing.",
        timers: &[],
        steps: &[
            Step {
                does: "a server with one child catches SIGCHLD without SA_RESTART, and waits in \
                       accept",
                claims: &[],
            },
            Step {
                does: "the client ends, so the child does",
                claims: &[
                    "accept returns EINTR",
                    "the handler has been called",
                ],
            },
            Step {
                does: "the server calls accept again, and somebody connects",
                claims: &[
                    "accept returns a connection",
                ],
            },
            Step {
                does: "another server catches SIGCHLD with SA_RESTART, waits for the child in the \
                       handler, and is in accept",
                claims: &[],
            },
            Step {
                does: "this client ends, too",
                claims: &[
                    "the handler fetches the child",
                    "accept waits on, although the handler has run",
                ],
            },
            Step {
                does: "a client connects",
                claims: &[
                    "the same accept returns its connection",
                    "one signal was caught",
                ],
            },
            Step {
                does: "a server does not handle SIGCHLD, and its child ends",
                claims: &[
                    "the child is a zombie",
                    "accept has not been interrupted",
                ],
            },
            Step {
                does: "a server catches SIGCHLD with SA_RESTART, but its listening socket has \
                       SO_RCVTIMEO",
                claims: &[
                    "its accept returns EINTR, long before its time is over",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a server with one child catches SIGCHLD without SA_RESTART, and waits in accept");
    let (client, server) = serving(stage, "norestart")?;
    stage.step("the client ends, so the child does");
    client.end()?;
    stage.claim_is("accept returns EINTR", &server.outcome()?, "EINTR");
    stage.claim_is("the handler has been called", &server.call("caught")?, "ok 1");

    stage.step("the server calls accept again, and somebody connects");
    server.begin("0: accept")?;
    stage.claim("accept returns a connection", accepted(stage, &server)?);
    server.end()?;

    stage.step("another server catches SIGCHLD with SA_RESTART, waits for the child in the handler, and is in accept");
    let (client, server) = serving(stage, "waitpid-loop")?;
    stage.step("this client ends, too");
    client.end()?;
    let fetched = server.program().wait_for_zombies(0, PATIENCE);
    stage.claim("the handler fetches the child", fetched.is_ok());
    let waits = server.program().wait_asleep_in(ACCEPT4, PATIENCE);
    stage.claim("accept waits on, although the handler has run", waits.is_ok());
    stage.step("a client connects");
    stage.claim("the same accept returns its connection", accepted(stage, &server)?);
    stage.claim_is("one signal was caught", &server.call("caught")?, "ok 1");
    server.end()?;

    stage.step("a server does not handle SIGCHLD, and its child ends");
    let (client, server) = serving(stage, "default")?;
    client.end()?;
    let ended = server.program().wait_for_zombies(1, PATIENCE);
    stage.claim("the child is a zombie", ended.is_ok());
    stage.claim("accept has not been interrupted", accepted(stage, &server)?);
    server.end()?;

    stage.step("a server catches SIGCHLD with SA_RESTART, but its listening socket has SO_RCVTIMEO");
    let (client, server) = stage.forked(1)?;
    server.must("handler SIGCHLD restart")?;
    server.must("0: setsockopt rcvtimeo 60000")?;
    wait_in_accept(&server)?;
    client.end()?;
    stage.claim_is("its accept returns EINTR, long before its time is over", &server.outcome()?, "EINTR");
    Ok(())
}

/// A client, and a server with one child that sleeps in accept.
fn serving(stage: &Stage, handler: &str) -> Result<(Actor, Actor), Broken> {
    let (client, server) = stage.forked(1)?;
    server.must(&format!("handler SIGCHLD {handler}"))?;
    wait_in_accept(&server)?;
    Ok((client, server))
}

fn wait_in_accept(server: &Actor) -> Result<(), Broken> {
    server.begin("0: accept")?;
    Ok(server.program().wait_asleep_in(ACCEPT4, PATIENCE)?)
}

/// Whether the accept that the server is in gives it a new client's connection.
fn accepted(stage: &Stage, server: &Actor) -> Result<bool, Broken> {
    let client = stage.client()?;
    client.must(&stage.connect_line())?;
    let local = client.must("getsockname")?;
    let accepted = server.outcome()?;
    client.end()?;
    let peer = local.strip_prefix("ok ").unwrap_or("?");
    Ok(accepted.starts_with("ok") && accepted.ends_with(&format!("peer={peer}")))
}
