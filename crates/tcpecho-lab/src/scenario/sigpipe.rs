//! A write to a connection that has received RST: SIGPIPE or EPIPE (UNP 5.13).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::process::Exit;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "sigpipe",
        title: "the client writes after RST",
        source: "UNP 5.13",
        question: "What happens to a client that ignores end of file and keeps writing?",
        book: "The first write after FIN succeeds and provokes an RST. Writing to a socket that \
               has received RST raises SIGPIPE, which kills the process unless it is caught or \
               ignored; then write fails with EPIPE.",
        kernel: "The same. The RST matters, not the number of writes: until it arrives, every \
                 write succeeds.",
        timers: &[],
        steps: &[
            Step {
                does: "the server's process is killed; one of its two clients ignores SIGPIPE",
                claims: &[
                    "the client that ignores SIGPIPE receives FIN",
                    "the other client receives FIN",
                ],
            },
            Step {
                does: "the client that ignores SIGPIPE writes, and the wire holds the RST",
                claims: &[
                    "the first write succeeds",
                    "the second write succeeds: the RST has not arrived",
                    "the third write succeeds, too",
                ],
            },
            Step {
                does: "the RST arrives",
                claims: &[
                    "the client's kernel has removed the connection",
                    "write fails with EPIPE",
                    "a further write fails with EPIPE, too",
                ],
            },
            Step {
                does: "the other client writes",
                claims: &[
                    "its first write succeeds",
                    "the RST arrives",
                    "the client is still running",
                ],
            },
            Step {
                does: "the other client writes again",
                claims: &[
                    "SIGPIPE kills it",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("the server's process is killed; one of its two clients ignores SIGPIPE");
    let server = stage.listening(10)?;
    let ignoring = joins(stage, &server, "sigpipe ignore")?;
    let usual = joins(stage, &server, "sigpipe default")?;
    let (ignoring_port, usual_port) = (ignoring.port()?, usual.port()?);
    server.program().kill();
    let fin = |port| Matcher::fin().from_server().port(port);
    stage.claim_packet("the client that ignores SIGPIPE receives FIN", &fin(ignoring_port));
    stage.claim_packet("the other client receives FIN", &fin(usual_port));

    stage.step("the client that ignores SIGPIPE writes, and the wire holds the RST");
    let rst = stage.hold(Matcher::rst().from_server().port(ignoring_port));
    stage.claim_is("the first write succeeds", &ignoring.call("send one")?, "ok 3");
    stage.two().wire.wait_for(&Matcher::rst(), 0, PATIENCE)?;
    stage.claim_is("the second write succeeds: the RST has not arrived", &ignoring.call("send two")?, "ok 3");
    stage.claim_is("the third write succeeds, too", &ignoring.call("send three")?, "ok 5");

    stage.step("the RST arrives");
    stage.release(&rst)?;
    stage.claim_none_left("the client's kernel has removed the connection", Side::Client, ignoring_port);
    stage.claim_is("write fails with EPIPE", &ignoring.call("send four")?, "EPIPE");
    stage.claim_is("a further write fails with EPIPE, too", &ignoring.call("send five")?, "EPIPE");

    stage.step("the other client writes");
    stage.claim_is("its first write succeeds", &usual.call("send one")?, "ok 3");
    stage.claim_packet("the RST arrives", &Matcher::rst().from_server().port(usual_port));
    stage.claim("the client is still running", usual.program().exit().is_none());

    stage.step("the other client writes again");
    usual.begin("send two")?;
    let (_, exit) = usual.program().wait(PATIENCE)?;
    stage.claim("SIGPIPE kills it", exit == Exit::Killed(13));
    Ok(())
}

fn joins(stage: &Stage, server: &Agent, signal: &str) -> Result<Agent, Broken> {
    let client = stage.client()?;
    client.must(signal)?;
    client.must(&stage.connect_line())?;
    server.must("0: accept")?;
    Ok(client)
}
