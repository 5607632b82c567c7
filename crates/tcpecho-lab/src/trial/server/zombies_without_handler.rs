//! A client ends, and with it the child that served it, if there is one (UNP 5.8).

use super::{customer, open};
use crate::stage::{Played, Stage};

trial! {
    "zombies-without-handler", "a client's child ends", "UNP 5.8",
    "If the program has a child for each client, does it wait for those that have ended?",
    "zombies_without_handler.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("two clients come and go, one after the other");
    let stranger = open(stage)?;
    let mut childless = true;
    for _ in 0..2 {
        let client = customer(stage)?;
        stage.claim_serves("the line comes back", &stranger, &client)?;
        childless &= stranger.program.children().is_empty();
        client.must("close")?;
        stage.claim_no_close_wait("the connection is closed at the server, too");
    }
    if childless {
        stage.note("has no child for a client");
    }
    stage.claim_no_zombies("no zombie is left", &stranger);
    Ok(())
}
