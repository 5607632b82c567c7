//! The server does not read for a while, and there is much to send (UNP 6.2, RFC 9293 3.8.6).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::{echoed, many_lines, meet};
use crate::stage::Played;
use crate::trial::{Fault, Trial};
use crate::trial::harness::Harness;
use crate::text::{Step, Text};
use crate::side::Side;

pub(super) static TRIAL: Trial = Trial {
    sides: &[Side::Client],
    text: Text {
        name: "zero-window",
        title: "the server does not read for a while",
        source: "UNP 6.2, RFC 9293 3.8.6",
        question: "Two megabytes wait on stdin and the server reads none. Does the program stop \
                   reading stdin, and does it lose nothing afterwards?",
        steps: &[
            Step {
                does: "2000 lines of 1000 bytes are offered to the program; buffers are small and \
                       the server does not read",
                claims: &[
                    "the program's memory does not grow with the input",
                    "the program still runs",
                ],
            },
            Step {
                does: "the server echoes",
                claims: &[
                    "the server received everything and echoed it",
                    "the program exits with status 0",
                    "the program has written every line",
                ],
            },
        ],
        ..Text::EMPTY
    },
    play,
};

const LINES: usize = 2000;
/// Far more than a bounded buffer needs, far less than the input.
const GROWTH: u64 = 1 << 20;

fn play(harness: &mut Harness) -> Played {
    harness.step("2000 lines of 1000 bytes are offered to the program; buffers are small and the server does not read");
    harness.stage.two().watch_states(false);
    harness.stage.two().set_sysctl("net.ipv4.tcp_rmem", "4096 16384 16384")?;
    harness.stage.two().set_sysctl("net.ipv4.tcp_wmem", "4096 16384 16384")?;
    harness.stage.two().set_rto_min(Duration::from_millis(20))?;
    let (program, server) = meet(harness)?;
    program.process.wait_asleep(crate::stage::PATIENCE)?;
    let before = program.process.memory();
    let lines = many_lines(LINES);
    let (process, offered) = (Arc::clone(&program.process), lines.clone());
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let typing = std::thread::spawn(move || {
        for line in &offered {
            if process.write(format!("{line}\n").as_bytes()).is_err() {
                return;
            }
            count.fetch_add(1, Relaxed);
        }
        process.close_input();
    });
    settle(&taken);
    let grown = program.process.memory().saturating_sub(before);
    harness.conduct.memory_growth = Some(grown);
    harness.claim_or("the program's memory does not grow with the input", Fault::Grew, grown < GROWTH);
    harness.claim_runs("the program still runs", &program);

    harness.step("the server echoes");
    let said = echoed(harness, &server, LINES * 1000)?;
    harness.decisive();
    harness.claim_echoed("the server received everything and echoed it", &said, LINES * 1000);
    if said.starts_with("ok") {
        server.call("close")?;
    }
    harness.claim_ends_well("the program exits with status 0", &program);
    let _ = typing.join();
    harness.claim_output("the program has written every line", &program, &lines);
    Ok(())
}

/// Waits until no line has been taken for 300 ms.
fn settle(taken: &AtomicUsize) {
    let mut before = usize::MAX;
    loop {
        let now = taken.load(Relaxed);
        if now == before || now == LINES {
            return;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(300));
    }
}
