//! Lines go there and back, then the input ends (UNP 5.7).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};
use crate::trial::Fault;

trial! {
    "normal-termination", "lines go there and back", "UNP 5.7",
    "Does every line come back, and does the program end well?",
    "normal_termination.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("three lines are typed, each when the one before has come back");
    let (stranger, server) = meet(stage)?;
    for line in ["one", "", "three"] {
        exchange(stage, &stranger, &server, line)?;
    }

    stage.step("the input ends");
    stage.decisive();
    stranger.ends_input();
    let fin = stage.delivered(&Matcher::fin().from_client(), 0, super::END);
    stage.claim_or("the program tells the server so: FIN", Fault::Hung, fin.is_ok());

    stage.step("the server closes too");
    server.must("close")?;
    stage.claim_ends_well("the program ends with status 0", &stranger);
    let lines = ["one", "", "three"].map(String::from);
    stage.claim_output("the three lines have come back, and nothing else", &stranger, &lines);
    Ok(())
}
