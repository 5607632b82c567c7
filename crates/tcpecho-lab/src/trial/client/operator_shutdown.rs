//! The server answers and exits at once, as on SIGTERM: the last reply and FIN arrive together (UNP 5.16).

use super::{answer, meet};
use crate::impairment::Matcher;
use crate::stage::{PATIENCE, Played};
use rustix::process::Signal;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "operator-shutdown",
        title: "the last reply and the server's FIN arrive together",
        source: "UNP 5.16",
        question: "SIGTERM ends the server right after its last reply. Is the reply written before \
                   the program exits?",
        steps: &[
            Step {
                does: "a line is typed; the program is stopped until the reply and FIN have \
                       arrived",
                claims: &[
                    "the server's kernel sends FIN",
                ],
            },
            Step {
                does: "the program continues",
                claims: &[
                    "the program notices the FIN without further input",
                ],
            },
            Step {
                does: "more is typed and the input ends, if the program still runs",
                claims: &[
                    "the program exits without being killed by a signal",
                    "the program has written the last reply and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is typed; the program is stopped until the reply and FIN have arrived");
    let (program, server) = meet(harness)?;
    let mark = harness.stage.two().timeline.mark();
    program.types("one");
    harness.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    program.process.stop()?;
    answer(harness, &server, "one")?;
    server.program().signal(Signal::TERM)?;
    server.program().wait(PATIENCE)?;
    harness.claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());

    harness.step("the program continues");
    harness.decisive();
    program.process.go_on()?;
    harness.claim_notices("the program notices the FIN without further input", &program);

    harness.step("more is typed and the input ends, if the program still runs");
    program.gets_more();
    harness.claim_ends("the program exits without being killed by a signal", &program);
    harness.claim_output("the program has written the last reply and nothing else", &program, &["one".into()]);
    Ok(())
}
