//! What an echo server's signals do, by their disposition (UNP 5.8 to 5.13, signal(7)).

use rustix::process::Signal;

use crate::program::words;
use crate::stage::{Agent, Broken, PATIENCE, Stage};

scenario! { stage;
    name: "signal-dispositions",
    group: Some(Group::Signals),
    title: "SIGCHLD, SIGPIPE, SIGTERM: default, ignored, caught",
    source: "UNP 5.8, 5.9, 5.13, signal(7), sigaction(2)",
    question: "What does each signal of an echo server do by default, ignored, and caught?",
    book: &[
        (
            "A signal has its default action, is ignored, or is caught by a handler. SIGKILL and \
             SIGSTOP can be neither caught nor ignored.",
            &[Book("5.8")],
        ),
        (
            "A child that has exited is a zombie until its parent waits for it.",
            &[Book("5.9")],
        ),
        (
            "SIGPIPE kills a process that neither ignores nor catches it.",
            &[Book("5.13")],
        ),
    ],
    kernel: &[
        (
            "The same, and a child leaves no zombie if SIGCHLD is set to SIG_IGN.",
            &[
                Man("signal(7)"),
                Man("sigaction(2)"),
                Measured("with the default action a zombie is left"),
                Measured("with SIG_IGN no zombie is left"),
                Measured("with waitpid in the handler no zombie is left"),
                Measured("SIGPIPE kills the client"),
                Measured("sigaction fails for SIGKILL with EINVAL"),
                Measured("sigaction fails for SIGSTOP with EINVAL"),
            ],
        ),
    ];

    step "a child of a process exits, and SIGCHLD has its default action: the signal is ignored";
    let (zombies, _kept) = child_ends(stage, "default")?;
    claim("with the default action a zombie is left", zombies == 1);

    step "the same with SIGCHLD set to SIG_IGN";
    let (zombies, _kept) = child_ends(stage, "ignore")?;
    claim("with SIG_IGN no zombie is left", zombies == 0);

    step "the same with a handler that calls waitpid";
    let (zombies, kept) = child_ends(stage, "waitpid-loop")?;
    claim("with waitpid in the handler no zombie is left", zombies == 0);
    claim_is("the handler of SIGCHLD has run", &kept.call("caught")?, "ok 1");

    step "a client's connection has been reset, and it writes with SIGPIPE ignored";
    let (writer, _server) = reset_client(stage)?;
    writer.must("handler SIGPIPE ignore")?;
    claim_is("send fails with EPIPE while SIGPIPE is ignored", &writer.call("send lost")?, "EPIPE");

    step "it catches SIGPIPE instead";
    writer.must("handler SIGPIPE norestart")?;
    claim_is("send fails with EPIPE while SIGPIPE is caught, too", &writer.call("send lost")?, "EPIPE");
    claim_is("the handler of SIGPIPE has run", &writer.call("caught")?, "ok 1");

    step "it gives SIGPIPE its default action";
    writer.must("handler SIGPIPE default")?;
    writer.begin("send lost")?;
    let (_, ended) = writer.program().wait(PATIENCE)?;
    claim_is("SIGPIPE kills the client", &words(ended), "killed by SIGPIPE");

    step "SIGTERM comes to a server that ignores it, and then to one that does not";
    let deaf = stage.agent(crate::side::Side::Server)?;
    deaf.must("handler SIGTERM ignore")?;
    deaf.program().signal(Signal::TERM)?;
    claim_is("the server that ignores SIGTERM goes on", &deaf.call("disposition SIGTERM")?, "ok SIG_IGN");
    let plain = stage.agent(crate::side::Side::Server)?;
    claim_is("the other server has the default action of SIGTERM", &plain.call("disposition SIGTERM")?, "ok SIG_DFL");
    plain.program().signal(Signal::TERM)?;
    let (_, ended) = plain.program().wait(PATIENCE)?;
    claim_is("SIGTERM kills the server with the default action", &words(ended), "killed by SIGTERM");

    step "the server that ignores SIGTERM tries to ignore SIGKILL and SIGSTOP";
    claim_is("sigaction fails for SIGKILL with EINVAL", &deaf.call("handler SIGKILL ignore")?, "EINVAL");
    claim_is("sigaction fails for SIGSTOP with EINVAL", &deaf.call("handler SIGSTOP ignore")?, "EINVAL");
}

/// A process with this disposition of SIGCHLD, and its zombies after its child has exited. The
/// child reads from a socket without a connection, so it exits at once.
fn child_ends(stage: &Stage, disposition: &str) -> Result<(usize, Agent), Broken> {
    let server = stage.agent(crate::side::Side::Server)?;
    server.must(&format!("handler SIGCHLD {disposition}"))?;
    server.must(&format!("socket {}", stage.number()))?;
    server.must("fork")?;
    let left = usize::from(disposition == "default");
    server.program().wait_for_zombies(left, PATIENCE)?;
    Ok((server.program().zombies(), server))
}

/// A client whose connection was reset, and who has read that.
fn reset_client(stage: &Stage) -> Result<(Agent, Agent), Broken> {
    let (client, server) = stage.connected()?;
    server.must("setsockopt linger 0")?;
    server.must("close")?;
    client.must("handler SIGPIPE ignore")?;
    client.call("recv 100")?;
    Ok((client, server))
}
