//! The server's host crashes and boots again: it answers with RST (UNP 5.15).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "crash-and-reboot",
        title: "the server's host crashes and boots again",
        source: "UNP 5.15",
        question: "The host knows nothing of the connection any more. Does the program say that \
                   its line is lost?",
        steps: &[
            Step {
                does: "a line goes there and back; the server's host loses power and boots",
                claims: &[
                    "the program cannot know yet",
                ],
            },
            Step {
                does: "a line is typed",
                claims: &[
                    "the server's host answers with RST",
                    "the program ends, and its status is not 0",
                    "the line that came back was written, and nothing else",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line goes there and back; the server's host loses power and boots");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    harness.stage.two_mut().server.power_off();
    harness.stage.two_mut().server.reboot()?;
    harness.claim_runs("the program cannot know yet", &program);

    harness.step("a line is typed");
    harness.decisive();
    program.types("two");
    harness.claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    harness.claim_fails("the program ends, and its status is not 0", &program);
    harness.claim_output("the line that came back was written, and nothing else", &program, &["one".into()]);
    Ok(())
}
