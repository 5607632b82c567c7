//! The server's process is killed while the program waits for the keyboard (UNP 5.12, 6.2).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::Played;
use tcpecho_os::tcp_state::TcpState;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "server-process-killed",
        title: "the server's process is killed",
        source: "UNP 5.12, 6.2",
        question: "The server's FIN arrives while no line is typed. Does the program notice at \
                   once, or only when the next line is typed?",
        steps: &[
            Step {
                does: "a line is echoed, then the server's process is killed",
                claims: &[
                    "the server's kernel sends FIN",
                    "the program notices the FIN without further input",
                ],
            },
            Step {
                does: "more is typed and the input ends, if the program still runs",
                claims: &[
                    "the program exits without being killed by a signal",
                    "the program has written the first line and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed, then the server's process is killed");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    harness.decisive();
    server.program().kill();
    harness.claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());
    harness.claim_notices("the program notices the FIN without further input", &program);

    harness.step("more is typed and the input ends, if the program still runs");
    let held = harness.stage.connections(Side::Client, harness.stage.port());
    if held.iter().any(|socket| socket.state == TcpState::CloseWait) {
        harness.note("kept the socket in CLOSE_WAIT until more input");
    }
    program.gets_more();
    harness.claim_ends("the program exits without being killed by a signal", &program);
    harness.claim_output("the program has written the first line and nothing else", &program, &["one".into()]);
    Ok(())
}
