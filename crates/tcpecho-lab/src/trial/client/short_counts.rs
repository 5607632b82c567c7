//! A long line is echoed in small pieces (UNP 3.9).

use super::meet;
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "short-counts",
        title: "a long line is echoed in small pieces",
        source: "UNP 3.9",
        question: "A line of 20000 bytes is echoed 97 bytes at a time. Is it written whole?",
        steps: &[
            Step {
                does: "a line of 20000 bytes is typed and the input ends; the server echoes it in \
                       pieces of 97 bytes",
                claims: &[
                    "the server received everything and echoed it",
                    "the program exits with status 0",
                    "the program has written the whole line",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.stage.two().watch_states(false);
    harness.step("a line of 20000 bytes is typed and the input ends; the server echoes it in pieces of 97 bytes");
    let (program, server) = meet(harness)?;
    server.must("setsockopt nodelay on")?;
    let line: String = ('a'..='z').cycle().take(19_999).collect();
    program.types(&line);
    program.ends_input();
    server.begin("echo 20000 in 97")?;
    let said = harness.hears(&server, super::END);
    let said = said.unwrap_or_else(|_| super::NOTHING_CAME.into());
    harness.claim_echoed("the server received everything and echoed it", &said, 20000);
    server.call("close")?;
    harness.claim_ends_well("the program exits with status 0", &program);
    harness.claim_output("the program has written the whole line", &program, &[line]);
    Ok(())
}
