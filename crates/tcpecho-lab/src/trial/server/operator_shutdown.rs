//! The operator sends SIGTERM (UNP 5.16).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};
use crate::trial::Fault;
use rustix::process::Signal;

trial! {
    "operator-shutdown", "the operator sends SIGTERM", "UNP 5.16",
    "A client is connected and idle. Does the program end on SIGTERM, and how does the client learn of it?",
    "operator_shutdown.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client gets a line back and stays; the program gets SIGTERM");
    let stranger = open(stage)?;
    let client = customer(stage)?;
    stage.claim_serves("the line comes back", &stranger, &client)?;
    stage.decisive();
    stranger.program.signal(Signal::TERM)?;
    let ended = stranger.program.wait(super::END);
    stage.claim_or("the program ends", Fault::Hung, ended.is_ok());
    client.begin("poll 1000 in")?;
    let said = client.outcome()?;
    let reset = stage.count(&Matcher::rst().from_server()) > 0;
    stage.note(match said.as_str() {
        "ok 0x0" => "the idle client stays connected to a child",
        _ if reset => "the idle client got RST",
        _ => "the idle client got FIN",
    });
    Ok(())
}
