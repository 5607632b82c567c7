//! The server's process is killed while its socket holds unread data (UNP 5.12 and 5.13, RFC 2525 2.17).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Agent, Broken, PORT, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::process::Exit;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "server-process-killed-unread",
        title: "the server's process is killed before it has read everything",
        source: "UNP 5.12 and 5.13, RFC 2525 2.17",
        question: "When does a client get ECONNRESET because its server's process was killed?",
        book: "Section 5.12 expects ECONNRESET from read if RST arrives before the client reads. \
               It does not mention the data that the killed process left unread.",
        kernel: "A process that exits with unread data has lost data, so its kernel sends RST \
                 instead of FIN. A blocked read returns ECONNRESET at once. A client that does not \
                 read gets it from its first write, without SIGPIPE; the second write raises \
                 SIGPIPE.",
        timers: &[],
        steps: &[
            Step {
                does: "two clients send a line each, and the server reads neither",
                claims: &[
                    "the first line arrives",
                    "the second line arrives",
                ],
            },
            Step {
                does: "one client waits for its reply; the other, with the default action for \
                       SIGPIPE, waits for the keyboard",
                claims: &[],
            },
            Step {
                does: "the server's process is killed",
                claims: &[
                    "the server's kernel sends RST",
                    "the client that reads gets ECONNRESET",
                    "the other client's kernel gets the RST, too",
                    "the client's host keeps no connection, not even TIME_WAIT",
                    "the server's host keeps none either",
                    "no FIN was sent",
                ],
            },
            Step {
                does: "the client at the keyboard writes its next line",
                claims: &[
                    "write fails with ECONNRESET",
                    "the write raised no signal",
                ],
            },
            Step {
                does: "the client writes once more",
                claims: &[
                    "SIGPIPE kills it",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("two clients send a line each, and the server reads neither");
    let server = stage.listening(10)?;
    let reading = writes(stage, &server, "from the one who reads")?;
    let keyboard = writes(stage, &server, "from the one at the keyboard")?;
    let port = keyboard.port()?;
    stage.claim_packet("the first line arrives", &Matcher::data().containing("who reads"));
    stage.claim_packet("the second line arrives", &Matcher::data().containing("keyboard"));

    stage.step("one client waits for its reply; the other, with the default action for SIGPIPE, waits for the keyboard");
    reading.begin("recv 100")?;
    keyboard.must("sigpipe default")?;

    stage.step("the server's process is killed");
    server.program().kill();
    stage.claim_packet("the server's kernel sends RST", &Matcher::rst().from_server());
    stage.claim_is("the client that reads gets ECONNRESET", &reading.outcome()?, "ECONNRESET");
    stage.claim_packet("the other client's kernel gets the RST, too", &Matcher::rst().from_server().port(port));
    stage.claim_none_left("the client's host keeps no connection, not even TIME_WAIT", Side::Client, PORT);
    stage.claim_none_left("the server's host keeps none either", Side::Server, PORT);
    stage.claim("no FIN was sent", stage.count(&Matcher::fin()) == 0);

    stage.step("the client at the keyboard writes its next line");
    stage.claim_is("write fails with ECONNRESET", &keyboard.call("send again")?, "ECONNRESET");
    stage.claim_is("the write raised no signal", &keyboard.call("getsockopt error")?, "ok 0");

    stage.step("the client writes once more");
    keyboard.begin("send again")?;
    let (_, exit) = keyboard.program().wait(crate::stage::PATIENCE)?;
    stage.claim("SIGPIPE kills it", exit == Exit::Killed(13));
    Ok(())
}

fn writes(stage: &Stage, server: &Agent, line: &str) -> Result<Agent, Broken> {
    let client = stage.client()?;
    client.must(&stage.connect_line())?;
    server.must("0: accept")?;
    client.must(&format!("send {line}"))?;
    Ok(client)
}
