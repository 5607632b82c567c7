//! A write to a connection that has received RST: SIGPIPE or EPIPE (UNP 5.13).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, Stage};
use tcpecho_os::process::Exit;

scenario! { stage;
    name: "sigpipe",
    group: Some(Group::Signals),
    title: "the client writes after RST",
    source: "UNP 5.13",
    question: "What happens to a client that ignores end of file and keeps writing?",
    book: &[
        (
            "The first write after FIN succeeds and provokes an RST. Writing to a socket that has \
             received an RST raises SIGPIPE, which kills the process unless it is caught or \
             ignored; then write fails with EPIPE.",
            &[Book("5.13")],
        ),
    ],
    kernel: &[
        (
            "The same. The RST matters, not the number of writes: until it arrives, writes \
             succeed.",
            &[
                Measured("the third write succeeds, too"),
                Measured("after the RST write fails with EPIPE"),
                Measured("SIGPIPE kills the client that does not ignore it"),
            ],
        ),
        (
            "If no FIN has arrived before the RST, the first write fails with ECONNRESET and \
             raises no signal, unless another call has already returned ECONNRESET.",
            &[Lab("server-process-killed-unread"), Lab("signal-dispositions")],
        ),
    ];

    step "the server's process is killed; one of its two clients ignores SIGPIPE";
    let server = stage.listening(10)?;
    let ignoring = joins(stage, &server, "sigpipe ignore")?;
    let usual = joins(stage, &server, "sigpipe default")?;
    let (ignoring_port, usual_port) = (ignoring.port()?, usual.port()?);
    server.program().kill();
    let fin = |port| Matcher::fin().from_server().port(port);
    claim_packet("the client that ignores SIGPIPE receives FIN", &fin(ignoring_port));
    claim_packet("the other client receives FIN", &fin(usual_port));

    step "the client that ignores SIGPIPE writes, and the wire holds the RST";
    let rst = stage.hold(Matcher::rst().from_server().port(ignoring_port));
    claim_is("the first write succeeds", &ignoring.call("send one")?, "ok 3");
    stage.two().wire.wait_for(&Matcher::rst(), 0, PATIENCE)?;
    claim_is(
        "the second write succeeds: the RST has not arrived",
        &ignoring.call("send two")?, "ok 3",
    );
    claim_is("the third write succeeds, too", &ignoring.call("send three")?, "ok 5");

    step "the RST arrives";
    stage.release(&rst)?;
    claim_none_left("the client's kernel has removed the connection", Side::Client, ignoring_port);
    claim_is("after the RST write fails with EPIPE", &ignoring.call("send four")?, "EPIPE");
    claim_is("a further write fails with EPIPE, too", &ignoring.call("send five")?, "EPIPE");

    step "the other client writes";
    claim_is("the other client's first write succeeds", &usual.call("send one")?, "ok 3");
    claim_packet("the RST arrives", &Matcher::rst().from_server().port(usual_port));
    claim("the client is still running", usual.program().exit().is_none());

    step "the other client writes again";
    usual.begin("send two")?;
    let (_, exit) = usual.program().wait(PATIENCE)?;
    claim("SIGPIPE kills the client that does not ignore it", exit == Exit::Killed(13));
}

fn joins(stage: &Stage, server: &Agent, signal: &str) -> Result<Agent, Broken> {
    let client = stage.joined(server)?;
    client.must(signal)?;
    Ok(client)
}
