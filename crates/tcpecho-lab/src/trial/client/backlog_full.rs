//! The server's accept queue is full for a while (UNP 4.5).

use super::echoed;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PATIENCE, Played};
use crate::trial::Trial;
use crate::trial::harness::Harness;
use crate::text::{Step, Text};

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "backlog-full",
        title: "the server's accept queue is full for a while",
        source: "UNP 4.5",
        question: "The first SYN is ignored, and the second is answered. Does the program wait for \
                   it?",
        steps: &[
            Step {
                does: "another client fills the queue of a server with backlog 0; the program \
                       connects, and its SYN is ignored",
                claims: &[
                    "the program waits",
                ],
            },
            Step {
                does: "the server accepts the other client, which makes room",
                claims: &[
                    "the program's line arrives at the server",
                    "the program exits with status 0",
                    "the program has written the line",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

fn play(harness: &mut Harness) -> Played {
    harness.step("another client fills the queue of a server with backlog 0; the program connects, and its SYN is ignored");
    let server = harness.stage.listening(0)?;
    server.must("sigpipe ignore")?;
    let other = harness.stage.client()?;
    other.must(&harness.stage.connect_line())?;
    harness.stage.wait_for_queue(1)?;
    let mark = harness.stage.two().timeline.mark();
    harness.decisive();
    let program = harness.start(Side::Client)?;
    harness.delivered(&Matcher::syn(), mark, PATIENCE)?;
    harness.claim_runs("the program waits", &program);

    harness.step("the server accepts the other client, which makes room");
    server.must("accept")?;
    server.must("0: accept")?;
    program.types("one");
    program.ends_input();
    let said = echoed(harness, &server, 4)?;
    harness.claim_echoed("the program's line arrives at the server", &said, 4);
    server.call("close")?;
    harness.claim_ends_well("the program exits with status 0", &program);
    harness.claim_output("the program has written the line", &program, &["one".into()]);
    Ok(())
}
