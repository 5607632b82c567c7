//! A line arrives in small pieces (UNP 3.9).

use super::{customer, open};
use crate::stage::Played;
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "short-counts",
        title: "a line arrives in small pieces",
        source: "UNP 3.9",
        question: "A client sends a line a few bytes at a time. Is it echoed whole?",
        steps: &[
            Step {
                does: "a client sends a line byte by byte",
                claims: &[
                    "all of it is echoed, in order",
                    "the program still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("a client sends a line byte by byte");
    let program = open(harness)?;
    let client = customer(harness)?;
    client.must("setsockopt nodelay on")?;
    for byte in b'a'..=b'z' {
        client.must(&format!("send {}", char::from(byte)))?;
    }
    for byte in b'a'..=b'z' {
        client.must(&format!("send {}", char::from(byte)))?;
    }
    // The pattern's first 52 bytes are twice the alphabet; the following ones are its beginning
    // again.
    client.must("send abcdefghi")?;
    client.must("line ab")?;
    client.must("shutdown wr")?;
    harness.claim_comes_back("all of it is echoed, in order", &program, &client, 64)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
