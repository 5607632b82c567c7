//! A signal interrupts accept (UNP 5.9).

use crate::stage::{Agent, Broken, PATIENCE, Stage};
use tcpecho_lab_os::system_call::ACCEPT4;

scenario! { stage;
    name: "eintr-on-accept",
    group: Some(Group::Signals),
    title: "a child exits while its parent waits in accept",
    source: "UNP 5.9, signal(7)",
    question: "What does accept do when SIGCHLD interrupts it?",
    book: &[
        (
            "A slow system call may return EINTR when a signal is caught. Some kernels restart it \
             automatically, and SA_RESTART requests that, so a portable server handles EINTR and \
             calls accept again.",
            &[Book("5.8"), Book("5.9")],
        ),
    ],
    kernel: &[
        (
            "Without SA_RESTART accept returns EINTR. With it, accept is restarted, unless the \
             listening socket has SO_RCVTIMEO: then it returns EINTR all the same.",
            &[
                Man("signal(7)"),
                Measured("accept returns EINTR"),
                Measured("accept keeps waiting after the handler has run"),
                Measured("accept returns EINTR long before the timeout"),
            ],
        ),
        (
            "SIGCHLD without a handler interrupts nothing.",
            &[Measured("accept was not interrupted")],
        ),
    ];

    step "a server with one child catches SIGCHLD without SA_RESTART and waits in accept";
    let (client, server) = serving(stage, "norestart")?;

    step "the client exits, and so does the child";
    client.end()?;
    claim_is("accept returns EINTR", &server.outcome()?, "EINTR");
    claim_is("the handler has run", &server.call("caught")?, "ok 1");

    step "the server calls accept again, and a client connects";
    server.begin("0: accept")?;
    claim("accept returns a connection", accepted(stage, &server)?);
    server.end()?;

    step "another server catches SIGCHLD with SA_RESTART, reaps the child in the handler, and \
          waits in accept";
    let (client, server) = serving(stage, "waitpid-loop")?;

    step "this client exits, too";
    client.end()?;
    let fetched = server.program().wait_for_zombies(0, PATIENCE);
    claim("the handler reaps the child", fetched.is_ok());
    let waits = server.program().wait_asleep_in(ACCEPT4, PATIENCE);
    claim("accept keeps waiting after the handler has run", waits.is_ok());

    step "a client connects";
    claim("the same accept returns the connection", accepted(stage, &server)?);
    claim_is("one signal was caught", &server.call("caught")?, "ok 1");
    server.end()?;

    step "a server has no handler for SIGCHLD, and its child exits";
    let (client, server) = serving(stage, "default")?;
    client.end()?;
    let ended = server.program().wait_for_zombies(1, PATIENCE);
    claim("the child is a zombie", ended.is_ok());
    claim("accept was not interrupted", accepted(stage, &server)?);
    server.end()?;

    step "a server catches SIGCHLD with SA_RESTART, and its listening socket has SO_RCVTIMEO";
    let (client, server) = stage.forked(1)?;
    server.must("handler SIGCHLD restart")?;
    server.must("0: setsockopt rcvtimeo 60000")?;
    wait_in_accept(&server)?;
    client.end()?;
    claim_is("accept returns EINTR long before the timeout", &server.outcome()?, "EINTR");
}

/// A client, and a server with one child that sleeps in accept.
fn serving(stage: &Stage, handler: &str) -> Result<(Agent, Agent), Broken> {
    let (client, server) = stage.forked(1)?;
    server.must(&format!("handler SIGCHLD {handler}"))?;
    wait_in_accept(&server)?;
    Ok((client, server))
}

fn wait_in_accept(server: &Agent) -> Result<(), Broken> {
    server.begin("0: accept")?;
    Ok(server.program().wait_asleep_in(ACCEPT4, PATIENCE)?)
}

/// Whether the accept that the server is in returns a new client's connection.
fn accepted(stage: &Stage, server: &Agent) -> Result<bool, Broken> {
    let client = stage.connected_client()?;
    let local = client.must("getsockname")?;
    let accepted = server.outcome()?;
    client.end()?;
    let peer = local.strip_prefix("ok ").unwrap_or("?");
    Ok(accepted.starts_with("ok") && accepted.ends_with(&format!("peer={peer}")))
}
