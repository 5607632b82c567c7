//! The server's process is killed while the program waits at the keyboard (UNP 5.12, 6.2).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PORT, Played};
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
        question: "The server's FIN comes while nobody types. Does the program notice, or only \
                   when the next line is typed?",
        steps: &[
            Step {
                does: "a line goes there and back, then the server's process is killed",
                claims: &[
                    "its kernel sends FIN",
                    "the program notices while nobody types",
                ],
            },
            Step {
                does: "more is typed and the input ends if it runs still",
                claims: &[
                    "it ends, and not by a signal",
                    "the line that came back was written, and nothing else",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line goes there and back, then the server's process is killed");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    harness.decisive();
    server.program().kill();
    harness.claim_packet("its kernel sends FIN", &Matcher::fin().from_server());
    harness.claim_notices("the program notices while nobody types", &program);

    harness.step("more is typed and the input ends if it runs still");
    let held = harness.stage.connections(Side::Client, PORT);
    if held.iter().any(|socket| socket.state == TcpState::CloseWait) {
        harness.note("held the socket in CLOSE_WAIT while nobody typed");
    }
    program.gets_more();
    harness.claim_ends("it ends, and not by a signal", &program);
    harness.claim_output("the line that came back was written, and nothing else", &program, &["one".into()]);
    Ok(())
}
