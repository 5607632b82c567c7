//! The server's process is killed while one client waits at the keyboard and another polls (UNP 5.12).

use super::Scenario;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Actor, Broken, Played, Stage};
use crate::text::{Step, Text};
use tcpecho_os::tcp_state::TcpState;

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "server-process-killed",
        title: "the server's process is killed",
        source: "UNP 5.12, 6.2 and 6.4",
        question: "When does a client learn that its server's process is gone, and what does it \
                   read then?",
        book: "The dead process's kernel sends FIN, which a client blocked at the keyboard does \
               not see. Its next write works and is answered with RST; then it reads end of file \
               or ECONNRESET, whichever came first. A client that waits for socket and keyboard at \
               once (chapter 6) learns of the FIN immediately.",
        kernel: "The same, but for the race: after FIN, RST never makes read fail. It leaves EPIPE \
                 as the pending error, and read returns 0 before and after the RST alike.",
        timers: &[],
        steps: &[
            Step {
                does: "a server accepts two clients: one will wait at the keyboard, one polls its \
                       socket",
                claims: &[],
            },
            Step {
                does: "the server's process is killed",
                claims: &[
                    "its kernel ends the first connection with FIN",
                    "and the second",
                ],
            },
            Step {
                does: "the client that polls wakes up",
                claims: &[
                    "poll tells POLLIN and POLLRDHUP",
                    "it reads end of file",
                    "it closes, and its kernel is done with it",
                    "TIME_WAIT stays with the server's host",
                ],
            },
            Step {
                does: "the client at the keyboard makes no call: only its kernel knows",
                claims: &[
                    "its connection is in CLOSE_WAIT",
                    "the server's kernel waits in FIN_WAIT_2",
                ],
            },
            Step {
                does: "a line is typed, the client writes it, and the wire keeps the answer",
                claims: &[
                    "write succeeds",
                    "the answer is RST, from the server's kernel",
                    "before it arrives, read gives end of file",
                ],
            },
            Step {
                does: "the RST goes on",
                claims: &[
                    "neither the client's host",
                    "nor the server's knows the connection now",
                    "poll tells POLLERR and POLLHUP besides",
                    "read gives end of file, not ECONNRESET",
                    "the pending error is EPIPE",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a server accepts two clients: one will wait at the keyboard, one polls its socket");
    let server = stage.listening(10)?;
    let (keyboard, polling) = (joins(stage, &server)?, joins(stage, &server)?);
    let (keyboard_port, polling_port) = (keyboard.port()?, polling.port()?);
    polling.begin("poll 10000 in")?;

    stage.step("the server's process is killed");
    server.program().kill();
    let fin = |port| Matcher::fin().from_server().port(port);
    stage.claim_packet("its kernel ends the first connection with FIN", &fin(keyboard_port));
    stage.claim_packet("and the second", &fin(polling_port));

    stage.step("the client that polls wakes up");
    let events = polling.outcome()?;
    stage.claim_is("poll tells POLLIN and POLLRDHUP", &events, "ok 0x2001");
    stage.claim_is("it reads end of file", &polling.call("recv 100")?, "ok 0");
    polling.must("close")?;
    stage.claim_none_left("it closes, and its kernel is done with it", Side::Client, polling_port);
    stage.claim_state("TIME_WAIT stays with the server's host", Side::Server, TcpState::TimeWait);

    stage.step("the client at the keyboard makes no call: only its kernel knows");
    stage.claim_state("its connection is in CLOSE_WAIT", Side::Client, TcpState::CloseWait);
    stage.claim_state("the server's kernel waits in FIN_WAIT_2", Side::Server, TcpState::FinWait2);

    stage.step("a line is typed, the client writes it, and the wire keeps the answer");
    let rst = stage.keep(Matcher::rst().from_server().port(keyboard_port));
    stage.claim_is("write succeeds", &keyboard.call("send hello")?, "ok 5");
    let answer = stage.two().wire.wait_for(&Matcher::rst(), 0, crate::stage::PATIENCE)?;
    stage.claim("the answer is RST, from the server's kernel", answer.from == Side::Server);
    stage.claim_is("before it arrives, read gives end of file", &keyboard.call("recv 9")?, "ok 0");

    stage.step("the RST goes on");
    stage.let_go(&rst)?;
    stage.claim_none_left("neither the client's host", Side::Client, keyboard_port);
    stage.claim_none_left("nor the server's knows the connection now", Side::Server, keyboard_port);
    let events = keyboard.call("poll 0")?;
    stage.claim_is("poll tells POLLERR and POLLHUP besides", &events, "ok 0x201d");
    stage.claim_is("read gives end of file, not ECONNRESET", &keyboard.call("recv 9")?, "ok 0");
    let pending = keyboard.call("getsockopt error")?;
    stage.claim_is("the pending error is EPIPE", &pending, "ok EPIPE");
    Ok(())
}

fn joins(stage: &Stage, server: &Actor) -> Result<Actor, Broken> {
    let client = stage.client()?;
    client.must(&stage.connect_line())?;
    server.must("0: accept")?;
    Ok(client)
}
