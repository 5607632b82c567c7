//! Fifty clients come and go; nothing of them may stay.

use super::{customer, open, served};
use crate::stage::{Played, Stage};

trial! {
    "many-clients", "fifty clients come and go", "UNP 5.9, 30",
    "Is there a descriptor, a zombie or a socket in CLOSE_WAIT more than before?",
    "many_clients.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("two clients come and go, then the program's descriptors are counted");
    let stranger = open(stage)?;
    for _ in 0..2 {
        come_and_go(stage)?;
    }
    stage.claim_no_close_wait("no socket is left in CLOSE_WAIT");
    stage.claim_no_zombies("no zombie is left", &stranger);
    let mut before = stranger.program.descriptors();
    Stage::until(std::time::Duration::from_millis(200), || {
        before = before.min(stranger.program.descriptors());
        false
    });

    stage.step("fifty more come and go");
    let mut unserved = None;
    for _ in 0..50 {
        unserved = unserved.or(come_and_go(stage)?);
    }
    stage.claim_without("every one got its line back", unserved);
    stage.claim_no_close_wait("no socket is left in CLOSE_WAIT now");
    stage.claim_no_zombies("no zombie is left now", &stranger);
    stage.claim_no_descriptors("no descriptor is left", &stranger, before);
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}

fn come_and_go(stage: &Stage) -> Result<Option<(crate::trial::Fault, String)>, crate::stage::Broken> {
    let client = customer(stage)?;
    let fault = served(stage, &client, "hello")?;
    client.end()?;
    Ok(fault)
}
