//! The server answers one line and closes with another one unread: data, then RST (RFC 1122 4.2.2.13).

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
        name: "close-with-unread-data",
        title: "the server closes with a line unread",
        source: "RFC 1122 4.2.2.13, RFC 2525 2.17",
        question: "One reply arrives, then RST, and the input has ended. Does the program report \
                   that a line is lost?",
        steps: &[
            Step {
                does: "two lines are typed and the input ends; the server answers one and closes",
                claims: &[
                    "the server's kernel sends RST",
                    "the program exits with a status other than 0",
                    "the program has written the reply and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("two lines are typed and the input ends; the server answers one and closes");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    let mark = harness.stage.two().timeline.mark();
    program.types("two");
    harness.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    program.ends_input();
    harness.decisive();
    server.must("close")?;
    harness.claim_packet("the server's kernel sends RST", &Matcher::rst().from_server());
    harness.claim_fails("the program exits with a status other than 0", &program);
    harness.claim_output("the program has written the reply and nothing else", &program, &["one".into()]);
    Ok(())
}
