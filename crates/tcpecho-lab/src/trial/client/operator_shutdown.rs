//! The server answers and ends at once, as on SIGTERM: the last reply and FIN come together (UNP 5.16).

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
        title: "the last reply comes together with the server's end",
        source: "UNP 5.16",
        question: "SIGTERM ends the server right after its last reply. Is the reply written before \
                   the end is noticed?",
        steps: &[
            Step {
                does: "a line is typed; the program is stopped until the reply and FIN have come",
                claims: &[
                    "the server's kernel sends FIN",
                ],
            },
            Step {
                does: "the program goes on",
                claims: &[
                    "it notices while nobody types",
                ],
            },
            Step {
                does: "more is typed and the input ends if it runs still",
                claims: &[
                    "it ends, and not by a signal",
                    "the last reply was written, and nothing else",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is typed; the program is stopped until the reply and FIN have come");
    let (program, server) = meet(harness)?;
    let mark = harness.stage.two().timeline.mark();
    program.types("one");
    harness.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    program.process.stop()?;
    answer(harness, &server, "one")?;
    server.program().signal(Signal::TERM)?;
    server.program().wait(PATIENCE)?;
    harness.claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());

    harness.step("the program goes on");
    harness.decisive();
    program.process.go_on()?;
    harness.claim_notices("it notices while nobody types", &program);

    harness.step("more is typed and the input ends if it runs still");
    program.gets_more();
    harness.claim_ends("it ends, and not by a signal", &program);
    harness.claim_output("the last reply was written, and nothing else", &program, &["one".into()]);
    Ok(())
}
