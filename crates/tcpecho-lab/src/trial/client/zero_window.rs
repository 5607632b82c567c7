//! The server does not read for a while, and there is much to send (UNP 6.2, RFC 9293 3.8.6).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::{echoed, many_lines, meet};
use crate::stage::{Played, Stage};
use crate::trial::Fault;

trial! {
    "zero-window", "the server does not read for a while", "UNP 6.2, RFC 9293 3.8.6",
    "Two megabytes wait on standard input and the server takes none. Does the program stop reading, and lose nothing afterwards?",
    "zero_window.rs"
}

const LINES: usize = 2000;
/// Far above what a bounded buffer needs, far below what is offered.
const GROWTH: u64 = 1 << 20;

fn play(stage: &mut Stage) -> Played {
    stage.step("2000 lines of 1000 bytes are offered to the program; buffers are small and the server does not read");
    stage.two().watch_states(false);
    stage.two().set_sysctl("net.ipv4.tcp_rmem", "4096 16384 16384")?;
    stage.two().set_sysctl("net.ipv4.tcp_wmem", "4096 16384 16384")?;
    stage.two().set_rto_min(Duration::from_millis(20))?;
    let (stranger, server) = meet(stage)?;
    stranger.program.wait_asleep(crate::stage::PATIENCE)?;
    let before = stranger.program.memory();
    let lines = many_lines(LINES);
    let (program, offered) = (Arc::clone(&stranger.program), lines.clone());
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let typing = std::thread::spawn(move || {
        for line in &offered {
            if program.write(format!("{line}\n").as_bytes()).is_err() {
                return;
            }
            count.fetch_add(1, Relaxed);
        }
        program.close_input();
    });
    settle(&taken);
    let grown = stranger.program.memory().saturating_sub(before);
    stage.guest.conduct.memory_growth = Some(grown);
    stage.claim_or("the program's memory does not grow with what is offered", Fault::Grew, grown < GROWTH);
    stage.claim_runs("it waits", &stranger);

    stage.step("the server echoes");
    let said = echoed(stage, &server, LINES * 1000)?;
    stage.decisive();
    stage.claim_echoed("the server got everything and could send it back", &said, LINES * 1000);
    if said.starts_with("ok") {
        server.call("close")?;
    }
    stage.claim_ends_well("the program ends with status 0", &stranger);
    let _ = typing.join();
    stage.claim_output("every line came back", &stranger, &lines);
    Ok(())
}

/// Until no line has been taken for 300 ms.
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
