//! A client sends and does not read (UNP 6.8, RFC 9293 3.8.6).

use std::time::Duration;

use super::{NOTICE, customer, open, served_within};
use crate::stage::{Played, count};
use crate::trial::{Fault, Trial};
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Server],
    text: Text {
        name: "zero-window",
        title: "a client does not read",
        source: "UNP 6.8, RFC 9293 3.8.6",
        question: "A client sends four megabytes and reads no reply. Does the program stop reading \
                   instead of growing, and is nothing lost?",
        steps: &[
            Step {
                does: "a client sends as many of 4000000 bytes as the program takes and reads \
                       nothing; the kernels' buffers are small",
                claims: &[
                    "a line is echoed",
                    "the program's memory does not grow with what it cannot send",
                ],
            },
            Step {
                does: "another client connects",
                claims: &[],
            },
            Step {
                does: "the first client shuts down its writing half and reads",
                claims: &[
                    "everything that was taken is echoed, then end of file",
                    "the program still runs",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

const BYTES: usize = 4_000_000;
/// Far more than a bounded buffer needs, far less than what is offered.
const GROWTH: u64 = 2 << 20;

fn play(harness: &mut Harness) -> Played {
    harness.step("a client sends as many of 4000000 bytes as the program takes and reads nothing; the kernels' buffers are small");
    harness.stage.two().watch_states(false);
    harness.stage.two().set_sysctl("net.ipv4.tcp_rmem", "4096 65536 65536")?;
    harness.stage.two().set_sysctl("net.ipv4.tcp_wmem", "4096 65536 65536")?;
    harness.stage.two().set_rto_min(Duration::from_millis(20))?;
    let program = open(harness)?;
    let first = customer(harness)?;
    harness.claim_serves("a line is echoed", &program, &first)?;
    first.must("close")?;
    let before = program.process.memory();
    let client = customer(harness)?;
    let taken = count(&client.must(&format!("stuff {BYTES}"))?);
    let grown = program.process.memory().saturating_sub(before);
    harness.conduct.memory_growth = Some(grown);
    harness.claim_or("the program's memory does not grow with what it cannot send", Fault::Grew, grown < GROWTH);

    harness.step("another client connects");
    let other = customer(harness)?;
    if served_within(harness, NOTICE, &other, "hello")?.is_some() {
        harness.note("serves no other client while one does not read");
    }
    other.program().kill();

    harness.step("the first client shuts down its writing half and reads");
    client.must("shutdown wr")?;
    harness.claim_comes_back("everything that was taken is echoed, then end of file", &program, &client, taken)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
