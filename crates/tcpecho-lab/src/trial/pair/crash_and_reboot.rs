//! The server's host crashes and boots again: it answers with RST (UNP 5.15).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &Side::BOTH,
    text: Text {
        name: "crash-and-reboot",
        title: "the server's host crashes and boots again",
        source: "UNP 5.15",
        question: "The host knows nothing of the connection any more. Does the client say that its \
                   line is lost, and can the server be started again?",
        steps: &[
            Step {
                does: "a line goes there and back; the server's host loses power, boots, and the \
                       server is started again",
                claims: &[
                    "the client cannot know yet",
                ],
            },
            Step {
                does: "a line is typed",
                claims: &[
                    "the server's host answers with RST",
                    "the client ends, and its status is not 0",
                    "the client has written the line that came back, and nothing else",
                    "the server that was started again goes on",
                ],
            },
        ],
        ..Text::TRIAL
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line goes there and back; the server's host loses power, boots, and the server is started again");
    let pair = meet(harness)?;
    exchange(harness, &pair, "one")?;
    harness.stage.two_mut().server.power_off();
    harness.stage.two_mut().server.reboot()?;
    let server = super::open(harness)?;
    harness.claim_runs("the client cannot know yet", &pair.client);

    harness.step("a line is typed");
    harness.decisive();
    pair.client.types("two");
    harness.claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    harness.claim_fails("the client ends, and its status is not 0", &pair.client);
    harness.claim_output("the client has written the line that came back, and nothing else", &pair.client, &["one".into()]);
    harness.claim_runs("the server that was started again goes on", &server);
    Ok(())
}
