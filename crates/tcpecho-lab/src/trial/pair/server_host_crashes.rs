//! The server's host crashes, and nothing answers (UNP 5.14).

use std::time::Duration;

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
        name: "server-host-crashes",
        title: "the server's host crashes",
        source: "UNP 5.14, RFC 6298 5",
        question: "Nothing answers any more. Does the client exit when its kernel gives up, and \
                   report an error?",
        steps: &[
            Step {
                does: "a line is echoed; the retransmission timeout of the client's kernel is \
                       short; the server's host loses power",
                claims: &[
                    "the server ran until then",
                    "the client still runs, because it cannot know",
                ],
            },
            Step {
                does: "a line is typed, and no answer arrives",
                claims: &[
                    "the client exits with a status other than 0",
                    "the client's kernel retransmitted the line several times",
                    "the client has written the first line and nothing else",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed; the retransmission timeout of the client's kernel is short; the server's host loses power");
    harness.stage.two().client.set_rto_min(Duration::from_millis(20))?;
    harness.stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let pair = meet(harness)?;
    exchange(harness, &pair, "one")?;
    harness.claim_runs("the server ran until then", &pair.server);
    harness.stage.two_mut().server.power_off();
    harness.claim_runs("the client still runs, because it cannot know", &pair.client);

    harness.step("a line is typed, and no answer arrives");
    harness.decisive();
    pair.client.types("two");
    harness.claim_fails("the client exits with a status other than 0", &pair.client);
    let sent = harness.stage.count(&Matcher::data().from_client().containing("two"));
    harness.claim("the client's kernel retransmitted the line several times", sent > 1);
    harness.claim_output("the client has written the first line and nothing else", &pair.client, &["one".into()]);
    Ok(())
}
