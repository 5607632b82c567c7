//! Two clients come, the second while the first is there (UNP 5.6).

use super::{NOTICE, customer, open, served_within};
use crate::stage::{Played, Stage};

trial! {
    "normal-startup", "clients come", "UNP 5.6",
    "Does the program serve a client, and another one beside it?",
    "normal_startup.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client connects and sends a line");
    let stranger = open(stage)?;
    let first = customer(stage)?;
    stage.claim_serves("the line comes back", &stranger, &first)?;

    stage.step("a second client does the same while the first is connected");
    let second = customer(stage)?;
    if served_within(stage, NOTICE, &second, "hello")?.is_some() {
        stage.note("serves one client at a time");
    }

    stage.step("the first closes, and a third comes when the second has gone");
    first.must("close")?;
    second.program().kill();
    stage.claim_serves_another("the line comes back to the third", &stranger)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
