//! A middlebox has forgotten the connection and drops its segments (RFC 5382 5).

use std::time::Duration;

use super::{exchange, meet};
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &Side::BOTH,
    text: Text {
        name: "middlebox-forgets-silently",
        title: "a middlebox forgets the connection and says nothing",
        source: "RFC 5382 5",
        question: "After a pause nothing passes any more. Does the client exit and report an \
                   error, and does the server keep running?",
        steps: &[
            Step {
                does: "a line is echoed; from now on every segment is dropped",
                claims: &[],
            },
            Step {
                does: "a line is typed and the input ends",
                claims: &[
                    "the client exits with a status other than 0",
                    "the client has written the first line and nothing else",
                    "the server still runs, because it cannot know",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a line is echoed; from now on every segment is dropped");
    harness.stage.two().client.set_rto_min(Duration::from_millis(20))?;
    harness.stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let pair = meet(harness)?;
    exchange(harness, &pair, "one")?;
    harness.stage.wire_rule(Rule::drop(Matcher::any_tcp()).because("no such flow"));

    harness.step("a line is typed and the input ends");
    harness.decisive();
    pair.client.types("two");
    pair.client.ends_input();
    harness.claim_fails("the client exits with a status other than 0", &pair.client);
    harness.claim_output("the client has written the first line and nothing else", &pair.client, &["one".into()]);
    harness.claim_runs("the server still runs, because it cannot know", &pair.server);
    if !harness.connections_of_any_family(Side::Server).is_empty() {
        harness.note("the server still has the connection");
    }
    Ok(())
}
