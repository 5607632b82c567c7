//! The server's process is killed with unread data: RST instead of FIN (UNP 5.12, RFC 1122 4.2.2.13).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::{PATIENCE, Played};
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "server-process-killed-unread",
        title: "the server's process is killed before it has read a line",
        source: "UNP 5.12, RFC 1122 4.2.2.13",
        question: "The server is killed before it has read a line. Does the program report that \
                   the line is lost?",
        steps: &[
            Step {
                does: "a line is echoed, the next is not read, and the server's process is killed",
                claims: &[
                    "the server's kernel sends RST",
                    "the program notices the RST without further input",
                ],
            },
            Step {
                does: "more is typed and the input ends, if the program still runs",
                claims: &[
                    "the program exits with a status other than 0, because a line is lost",
                    "the program has written the first line and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed, the next is not read, and the server's process is killed");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    let mark = harness.stage.two().timeline.mark();
    program.types("two");
    harness.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    harness.decisive();
    server.program().kill();
    harness.claim_packet("the server's kernel sends RST", &Matcher::rst().from_server());
    harness.claim_notices("the program notices the RST without further input", &program);

    harness.step("more is typed and the input ends, if the program still runs");
    program.gets_more();
    harness.claim_fails("the program exits with a status other than 0, because a line is lost", &program);
    harness.claim_output("the program has written the first line and nothing else", &program, &["one".into()]);
    Ok(())
}
