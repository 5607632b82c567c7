//! The server's process is killed with something unread: RST instead of FIN (UNP 5.12, RFC 1122 4.2.2.13).

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
        question: "A line was sent and not read when the server dies. Does the program say that \
                   its line is lost?",
        steps: &[
            Step {
                does: "a line goes there and back, the next is not read, and the server's process \
                       is killed",
                claims: &[
                    "its kernel sends RST",
                    "the program notices while nobody types",
                ],
            },
            Step {
                does: "more is typed and the input ends if it runs still",
                claims: &[
                    "it ends, and its status is not 0: a line is lost",
                    "the line that came back was written, and nothing else",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line goes there and back, the next is not read, and the server's process is killed");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    let mark = harness.stage.two().timeline.mark();
    program.types("two");
    harness.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    harness.decisive();
    server.program().kill();
    harness.claim_packet("its kernel sends RST", &Matcher::rst().from_server());
    harness.claim_notices("the program notices while nobody types", &program);

    harness.step("more is typed and the input ends if it runs still");
    program.gets_more();
    harness.claim_fails("it ends, and its status is not 0: a line is lost", &program);
    harness.claim_output("the line that came back was written, and nothing else", &program, &["one".into()]);
    Ok(())
}
