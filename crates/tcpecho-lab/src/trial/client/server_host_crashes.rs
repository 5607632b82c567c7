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
    sides: &[Side::Client],
    text: Text {
        name: "server-host-crashes",
        title: "the server's host crashes",
        source: "UNP 5.14, RFC 6298 5",
        question: "Nothing answers any more. Does the program exit when its kernel gives up, and \
                   report an error?",
        steps: &[
            Step {
                does: "a line is echoed; the retransmission timeout of the client's kernel is \
                       short; the server's host loses power",
                claims: &[],
            },
            Step {
                does: "a line is typed, and no answer arrives",
                claims: &[
                    "the program exits with a status other than 0",
                    "its kernel retransmitted the line several times",
                    "the program has written the first line and nothing else",
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
    let (program, server) = meet(harness)?;
    exchange(harness, &program, &server, "one")?;
    harness.stage.two_mut().server.power_off();

    harness.step("a line is typed, and no answer arrives");
    harness.decisive();
    program.types("two");
    harness.claim_fails("the program exits with a status other than 0", &program);
    let sent = harness.stage.count(&Matcher::data().from_client().containing("two"));
    harness.claim("its kernel retransmitted the line several times", sent > 1);
    harness.claim_output("the program has written the first line and nothing else", &program, &["one".into()]);
    Ok(())
}
