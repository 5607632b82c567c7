//! The server's process is killed while data waits unread in its socket (UNP 5.12 and 5.13, RFC 2525 2.17).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Actor, Broken, PORT, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::process::Exit;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "server-process-killed-unread",
        title: "the server's process is killed before it has read everything",
        source: "UNP 5.12 and 5.13, RFC 2525 2.17",
        question: "When does a client really see ECONNRESET because its server's process was \
                   killed?",
        book: "Section 5.12 expects ECONNRESET from read if RST arrives before the client reads; \
               that data unread by a dying process matters is not said there.",
        kernel: "A process that ends with unread data has lost data, so its kernel sends RST and \
                 no FIN. A blocked read gives ECONNRESET at once. A client that does not read gets \
                 it from its first write, without SIGPIPE; the second write raises SIGPIPE.",
        timers: &[],
        steps: &[
            Step {
                does: "two clients send a line each, which the server does not read",
                claims: &[
                    "the first line arrives",
                    "and the second",
                ],
            },
            Step {
                does: "one client waits for its reply; the other, SIGPIPE as by default, at the \
                       keyboard",
                claims: &[],
            },
            Step {
                does: "the server's process is killed",
                claims: &[
                    "its kernel sends RST",
                    "the client that reads gets ECONNRESET",
                    "so does the other's kernel",
                    "no TIME_WAIT, nothing: the client's host",
                    "and the server's have forgotten both connections",
                    "nobody has sent FIN",
                ],
            },
            Step {
                does: "the client at the keyboard writes its next line",
                claims: &[
                    "write fails with ECONNRESET",
                    "which raised no signal",
                ],
            },
            Step {
                does: "it writes once more",
                claims: &[
                    "SIGPIPE kills it",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("two clients send a line each, which the server does not read");
    let server = stage.listening(10)?;
    let reading = writes(stage, &server, "from the one who reads")?;
    let keyboard = writes(stage, &server, "from the one at the keyboard")?;
    let port = keyboard.port()?;
    stage.claim_packet("the first line arrives", &Matcher::data().containing("who reads"));
    stage.claim_packet("and the second", &Matcher::data().containing("keyboard"));

    stage.step("one client waits for its reply; the other, SIGPIPE as by default, at the keyboard");
    reading.begin("recv 100")?;
    keyboard.must("sigpipe default")?;

    stage.step("the server's process is killed");
    server.program().kill();
    stage.claim_packet("its kernel sends RST", &Matcher::rst().from_server());
    stage.claim_is("the client that reads gets ECONNRESET", &reading.outcome()?, "ECONNRESET");
    stage.claim_packet("so does the other's kernel", &Matcher::rst().from_server().port(port));
    stage.claim_none_left("no TIME_WAIT, nothing: the client's host", Side::Client, PORT);
    stage.claim_none_left("and the server's have forgotten both connections", Side::Server, PORT);
    stage.claim("nobody has sent FIN", stage.count(&Matcher::fin()) == 0);

    stage.step("the client at the keyboard writes its next line");
    stage.claim_is("write fails with ECONNRESET", &keyboard.call("send again")?, "ECONNRESET");
    stage.claim_is("which raised no signal", &keyboard.call("getsockopt error")?, "ok 0");

    stage.step("it writes once more");
    keyboard.begin("send again")?;
    let (_, exit) = keyboard.program().wait(crate::stage::PATIENCE)?;
    stage.claim("SIGPIPE kills it", exit == Exit::Killed(13));
    Ok(())
}

fn writes(stage: &Stage, server: &Actor, line: &str) -> Result<Actor, Broken> {
    let client = stage.client()?;
    client.must(&stage.connect_line())?;
    server.must("0: accept")?;
    client.must(&format!("send {line}"))?;
    Ok(client)
}
