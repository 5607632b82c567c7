//! What an echo server's signals do, by their disposition (UNP 5.8 to 5.13, signal(7)).

use rustix::process::Signal;

use crate::impairment::Matcher;
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
                Measured("a zombie is left"),
                Measured("no zombie is left"),
                Measured("the signal kills it"),
                Measured("sigaction fails for SIGKILL"),
                Measured("and for SIGSTOP"),
            ],
        ),
    ];

    step "a child of a server exits, and SIGCHLD has its default action: it is ignored";
    let (zombies, _kept) = child_ends(stage, "default")?;
    claim("a zombie is left", zombies == 1);

    step "the same with SIGCHLD set to SIG_IGN";
    let (zombies, _kept) = child_ends(stage, "ignore")?;
    claim("no zombie is left", zombies == 0);

    step "the same with a handler that calls waitpid";
    let (zombies, kept) = child_ends(stage, "waitpid-loop")?;
    claim("no zombie is left", zombies == 0);
    claim_is("the handler has run", &kept.call("caught")?, "ok 1");

    step "a client's connection has been reset, and it writes with SIGPIPE ignored";
    let (writer, _server) = reset_client(stage)?;
    writer.must("handler SIGPIPE ignore")?;
    claim_is("send fails with EPIPE", &writer.call("send lost")?, "EPIPE");

    step "it catches SIGPIPE instead";
    writer.must("handler SIGPIPE norestart")?;
    claim_is("send fails with EPIPE again", &writer.call("send lost")?, "EPIPE");
    claim_is("and the handler has run", &writer.call("caught")?, "ok 1");

    step "it gives SIGPIPE its default action";
    writer.must("handler SIGPIPE default")?;
    writer.begin("send lost")?;
    let (_, ended) = writer.program().wait(PATIENCE)?;
    claim_is("the signal kills it", &words(ended), "killed by signal 13");

    step "SIGTERM comes to a server that ignores it, and then to one that does not";
    let deaf = stage.agent(crate::side::Side::Server)?;
    deaf.must("handler SIGTERM ignore")?;
    deaf.program().signal(Signal::TERM)?;
    claim_is("the first goes on", &deaf.call("disposition SIGTERM")?, "ok SIG_IGN");
    let plain = stage.agent(crate::side::Side::Server)?;
    claim_is("the other has the default action", &plain.call("disposition SIGTERM")?, "ok SIG_DFL");
    plain.program().signal(Signal::TERM)?;
    let (_, ended) = plain.program().wait(PATIENCE)?;
    claim_is("and is killed", &words(ended), "killed by signal 15");

    step "the first tries to ignore SIGKILL and SIGSTOP";
    claim_is("sigaction fails for SIGKILL", &deaf.call("handler SIGKILL ignore")?, "EINVAL");
    claim_is("and for SIGSTOP", &deaf.call("handler SIGSTOP ignore")?, "EINVAL");
}

/// A server with this disposition of SIGCHLD, and its zombies after its child has served a client.
fn child_ends(stage: &Stage, disposition: &str) -> Result<(usize, Agent), Broken> {
    let server = stage.agent(crate::side::Side::Server)?;
    server.must(&format!("handler SIGCHLD {disposition}"))?;
    server.must(&format!("socket {}", stage.number()))?;
    server.must("setsockopt reuseaddr on")?;
    server.must(&format!("bind {} {}", stage.family().any(), stage.port()))?;
    server.must("listen 10")?;
    let client = stage.joined(&server)?;
    server.must("fork")?;
    let port = client.port()?;
    client.must("close")?;
    let fin = Matcher::fin().from_server().port(port);
    stage.two().wire.wait_delivered(&fin, 0, PATIENCE)?;
    // The child's FIN is sent while it exits, and the handler runs after that.
    let left = usize::from(disposition == "default");
    server.program().wait_for_zombies(left, PATIENCE)?;
    let zombies = server.program().zombies();
    server.must("0: close")?;
    Ok((zombies, server))
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
