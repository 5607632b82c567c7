//! The operator shuts the server's host down: SIGTERM, then SIGKILL (UNP 5.16).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Actor, Broken, PATIENCE, Played, Stage};
use crate::text::{Step, Text};
use rustix::process::Signal;
use tcpecho_os::process::Exit;
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "operator-shutdown",
        title: "the operator shuts the server down",
        source: "UNP 5.16",
        question: "What does a client see when the server's host is shut down in good order?",
        book: "init sends SIGTERM to all processes, waits for some seconds and kills with SIGKILL \
               what still runs. A server's sockets are closed as it ends, so the client sees what \
               it sees when the server's process is killed (5.12).",
        kernel: "The same. To the client both signals are one: the kernel closes the sockets and \
                 sends FIN. New clients are refused as soon as the listener is gone, and the \
                 server's host keeps TIME_WAIT.",
        timers: &[],
        steps: &[
            Step {
                does: "a server that leaves SIGTERM as it is gets SIGTERM",
                claims: &[
                    "it ends, by that signal",
                    "its kernel sends FIN",
                    "the client reads end of file",
                    "a new client is refused",
                ],
            },
            Step {
                does: "the client closes",
                claims: &[
                    "its kernel is done",
                    "TIME_WAIT stays with the server's host",
                ],
            },
            Step {
                does: "another server, which ignores SIGTERM, gets SIGTERM",
                claims: &[
                    "it goes on and echoes",
                    "new clients get in",
                    "no FIN has been sent",
                ],
            },
            Step {
                does: "the time is up: SIGKILL",
                claims: &[
                    "now it ends",
                    "its kernel sends the same FIN",
                    "the client reads end of file again",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a server that leaves SIGTERM as it is gets SIGTERM");
    let (client, server) = stage.connected()?;
    server.program().signal(Signal::TERM)?;
    let (_, exit) = server.program().wait(PATIENCE)?;
    stage.claim("it ends, by that signal", exit == Exit::Killed(15));
    stage.claim_packet("its kernel sends FIN", &Matcher::fin().from_server());
    stage.claim_is("the client reads end of file", &client.call("recv 100")?, "ok 0");
    let late = stage.client()?;
    let refused = late.call(&stage.connect_line())?;
    stage.claim_is("a new client is refused", &refused, "ECONNREFUSED");

    stage.step("the client closes");
    let port = client.port()?;
    client.must("close")?;
    stage.claim_none_left("its kernel is done", Side::Client, port);
    stage.claim_state("TIME_WAIT stays with the server's host", Side::Server, TcpState::TimeWait);

    stage.step("another server, which ignores SIGTERM, gets SIGTERM");
    let (client, server) = stage.connected()?;
    let port = client.port()?;
    server.must("handler SIGTERM ignore")?;
    server.program().signal(Signal::TERM)?;
    stage.claim("it goes on and echoes", echoes(&client, &server)?);
    let second = stage.client()?;
    stage.claim_is("new clients get in", &second.call(&stage.connect_line())?, "ok");
    let fin = Matcher::fin().from_server().port(port);
    stage.claim("no FIN has been sent", stage.count(&fin) == 0);

    stage.step("the time is up: SIGKILL");
    server.program().signal(Signal::KILL)?;
    let (_, exit) = server.program().wait(PATIENCE)?;
    stage.claim("now it ends", exit == Exit::Killed(9));
    stage.claim_packet("its kernel sends the same FIN", &fin);
    stage.claim_is("the client reads end of file again", &client.call("recv 100")?, "ok 0");
    Ok(())
}

fn echoes(client: &Actor, server: &Actor) -> Result<bool, Broken> {
    client.must("send hello")?;
    server.must("recv 5")?;
    server.must("send hello")?;
    Ok(client.call("recv 5")? == "ok 5 hello")
}
