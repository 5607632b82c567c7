//! The program has no descriptor left for the next client: EMFILE (accept(2)).

use super::{customer, open};
use crate::stage::{Played, Stage};
use crate::trial::Fault;
use std::time::Duration;

trial! {
    "out-of-descriptors", "more clients come than the program has descriptors", "accept(2), EMFILE",
    "accept fails while clients wait in the queue. Does the program survive, without spinning, and serve again?",
    "out_of_descriptors.rs"
}

/// Half of a processor is more than waiting takes.
const SPIN: u64 = 25;

fn play(stage: &mut Stage) -> Played {
    stage.step("the program may have one descriptor more than it has; five clients connect");
    let stranger = open(stage)?;
    stage.claim_serves_another("before, a line comes back", &stranger)?;
    stage.claim_no_close_wait("nothing is left of that client");
    stranger.program.allow_descriptors(1)?;
    let clients = (0..5).map(|_| customer(stage)).collect::<Result<Vec<_>, _>>()?;
    let before = stranger.program.ticks();
    std::thread::sleep(Duration::from_millis(500));
    let ticks = stranger.program.ticks().saturating_sub(before);
    stage.claim_or("in half a second it uses less than half a processor", Fault::Spins, ticks < SPIN);
    stage.claim_runs("it has not ended", &stranger);

    stage.step("the clients go, and another comes");
    for client in &clients {
        client.must("close")?;
    }
    stage.claim_serves_another("the line comes back to it", &stranger)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
