//! Five clients end at once: one SIGCHLD for five children (UNP 5.10).

use super::{customer, open};
use crate::stage::{Played, Stage};
use std::time::Duration;

trial! {
    "wait-against-waitpid", "five clients end at once", "UNP 5.10",
    "Five children end while the program is stopped, and it gets one SIGCHLD. Does it wait for all five?",
    "wait_against_waitpid.rs"
}

const CLIENTS: usize = 5;

fn play(stage: &mut Stage) -> Played {
    stage.step("five clients connect, and the first gets a line back");
    let stranger = open(stage)?;
    let clients = (0..CLIENTS).map(|_| customer(stage)).collect::<Result<Vec<_>, _>>()?;
    stage.claim_serves("the line comes back", &stranger, &clients[0])?;
    let program = &stranger.program;
    let children = program.children().len();
    if children > 0 {
        Stage::until(Duration::from_secs(2), || program.children().len() >= CLIENTS);
    }
    let children = program.children().len();

    stage.step("the program is stopped while all five close, and goes on");
    program.stop()?;
    for client in &clients {
        client.must("close")?;
    }
    if children > 0 {
        Stage::until(Duration::from_secs(2), || program.zombies() >= children);
    }
    program.go_on()?;
    stage.claim_no_zombies("no zombie is left", &stranger);
    stage.claim_no_close_wait("no socket is left in CLOSE_WAIT");

    stage.step("another client comes");
    stage.claim_serves_another("the line comes back to it", &stranger)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
