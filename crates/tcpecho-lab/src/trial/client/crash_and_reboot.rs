//! The server's host crashes, reboots, and answers with RST (UNP 5.15).

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
        title: "the server's host crashes and reboots",
        source: "UNP 5.15",
        question: "The rebooted host does not know the connection. Does the program report that \
                   its line is lost?",
        steps: &[
            Step {
                does: "a line is echoed; the server's host loses power and boots",
                claims: &[
                    "the program still runs, because it cannot know",
                ],
            },
            Step {
                does: "a line is typed",
                claims: &[
                    "the server's host answers with RST",
                    "the program exits with a status other than 0",
                    "the program has written the first line and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed; the server's host loses power and boots");
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    harness.stage.two_mut().server.power_off();
    harness.stage.two_mut().server.reboot()?;
    harness.claim_runs("the program still runs, because it cannot know", &program);

    harness.step("a line is typed");
    harness.decisive();
    program.types("two");
    harness.claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    harness.claim_fails("the program exits with a status other than 0", &program);
    harness.claim_output("the program has written the first line and nothing else", &program, &["one".into()]);
    Ok(())
}
