//! The server's host crashes, reboots, and answers with RST (UNP 5.15).

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
        title: "the server's host crashes and reboots",
        source: "UNP 5.15",
        question: "The rebooted host does not know the connection. Does the client report that its \
                   line is lost, and can the server be restarted?",
        steps: &[
            Step {
                does: "a line is echoed; the server's host loses power and boots, and the server \
                       is started again",
                claims: &[
                    "the client still runs, because it cannot know",
                ],
            },
            Step {
                does: "a line is typed",
                claims: &[
                    "the server's host answers with RST",
                    "the client exits with a status other than 0",
                    "the client has written the first line and nothing else",
                    "the restarted server still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed; the server's host loses power and boots, and the server is started again");
    let pair = meet(harness)?;
    exchange(harness, &pair, "one")?;
    harness.stage.two_mut().server.power_off();
    harness.stage.two_mut().server.reboot()?;
    let server = super::open(harness)?;
    harness.claim_runs("the client still runs, because it cannot know", &pair.client);

    harness.step("a line is typed");
    harness.decisive();
    pair.client.types("two");
    harness.claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    harness.claim_fails("the client exits with a status other than 0", &pair.client);
    harness.claim_output("the client has written the first line and nothing else", &pair.client, &["one".into()]);
    harness.claim_runs("the restarted server still runs", &server);
    Ok(())
}
