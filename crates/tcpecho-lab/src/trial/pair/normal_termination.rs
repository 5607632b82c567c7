//! Lines go there and back, then the input ends (UNP 5.7).

use super::{exchange, meet};
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::trial::Fault;

trial! {
    "normal-termination", "lines go there and back between the two", "UNP 5.7",
    "Does every line come back, and do both ends part well? Who keeps TIME_WAIT?",
    "normal_termination.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("three lines are typed at the client, each when the one before has come back");
    let pair = meet(stage)?;
    for line in ["one", "", "three"] {
        exchange(stage, &pair, line)?;
    }

    stage.step("the client's input ends");
    stage.decisive();
    pair.client.ends_input();
    stage.claim_closes("the client tells the server so: FIN", Side::Client, Fault::Hung);
    stage.claim_closes("the server closes too: FIN", Side::Server, Fault::CloseWait);
    stage.claim_ends_well("the client ends with status 0", &pair.client);
    let lines = ["one", "", "three"].map(String::from);
    stage.claim_output("the client has written the three lines, and nothing else", &pair.client, &lines);
    stage.claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    stage.claim_time_wait("one end at most keeps TIME_WAIT");
    stage.claim_runs("the server goes on", &pair.server);
    Ok(())
}
