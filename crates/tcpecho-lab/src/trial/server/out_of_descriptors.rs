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

/// How often it is looked at. Who spins is found running or waiting for a processor, however busy the machine is.
const LOOKS: usize = 50;

fn play(stage: &mut Stage) -> Played {
    stage.step("the program may have one descriptor more than it has; five clients connect");
    let stranger = open(stage)?;
    stage.claim_serves_another("before, a line comes back", &stranger)?;
    stage.claim_no_close_wait("nothing is left of that client");
    stranger.program.allow_descriptors(Some(1))?;
    let clients = (0..5).map(|_| customer(stage)).collect::<Result<Vec<_>, _>>()?;
    let mut busy = 0;
    for _ in 0..LOOKS {
        std::thread::sleep(Duration::from_millis(10));
        busy += usize::from(stranger.program.is_busy());
    }
    stage.claim_or("it waits, and keeps no processor busy", Fault::Spins, busy < LOOKS / 2);
    stage.claim_runs("it has not ended", &stranger);

    stage.step("the clients go, the limit is lifted, and another comes");
    for client in &clients {
        client.must("close")?;
    }
    stranger.program.allow_descriptors(None)?;
    stage.claim_serves_another("the line comes back to it", &stranger)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
