//! A middlebox has forgotten the connection and drops its segments (RFC 5382 5).

use std::time::Duration;

use super::{exchange, meet};
use crate::impairment::{Matcher, Rule};
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "middlebox-forgets-silently",
        title: "a middlebox forgets the connection and says nothing",
        source: "RFC 5382 5",
        question: "After a pause nothing passes any more. Does the program exit when its kernel \
                   gives up, and report an error?",
        steps: &[
            Step {
                does: "a line is echoed; from now on every segment is dropped",
                claims: &[],
            },
            Step {
                does: "a line is typed and the input ends",
                claims: &[
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
    harness.step("a line is echoed; from now on every segment is dropped");
    harness.stage.two().client.set_rto_min(Duration::from_millis(20))?;
    harness.stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    harness.stage.wire_rule(Rule::drop(Matcher::any_tcp()).because("no such flow"));

    harness.step("a line is typed and the input ends");
    harness.decisive();
    program.types("two");
    program.ends_input();
    harness.claim_fails("the program exits with a status other than 0", &program);
    harness.claim_output("the program has written the first line and nothing else", &program, &["one".into()]);
    Ok(())
}
