//! A client comes and goes (UNP 5.7).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::trial::Fault;

trial! {
    "normal-termination", "a client comes and goes", "UNP 5.7",
    "The client ends the connection first. Does the program close its end, and is nothing left?",
    "normal_termination.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client connects, sends a line, gets it back and closes");
    let stranger = open(stage)?;
    let client = customer(stage)?;
    stage.claim_serves("the line comes back", &stranger, &client)?;
    client.must("close")?;
    let fin = stage.delivered(&Matcher::fin().from_server(), 0, super::END);
    stage.claim_or("the program closes too: FIN", Fault::CloseWait, fin.is_ok());
    stage.claim_no_close_wait("no socket is left in CLOSE_WAIT");
    let reset = stage.count(&Matcher::rst().from(Side::Server));
    if reset > 0 {
        stage.note("ended the connection with RST");
    }

    stage.step("another client comes");
    stage.claim_serves_another("the line comes back to it", &stranger)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
