//! A connection comes about, and nothing else happens (UNP 5.6).

use super::meet;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::trial::Fault;
use tcpecho_os::tcp_state::TcpState;

trial! {
    "normal-startup", "the program connects", "UNP 5.6",
    "Does the program connect when it is started, wait for input, and end well when there is none?",
    "normal_startup.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("the program is started and connects to a server of the lab's");
    let (stranger, server) = meet(stage)?;
    stage.claim_state("it is ESTABLISHED", Side::Client, TcpState::Established);
    stage.claim_runs("it waits for input", &stranger);

    stage.step("its input ends, with nothing in it");
    stage.decisive();
    stranger.ends_input();
    let fin = stage.delivered(&Matcher::fin().from_client(), 0, super::END);
    stage.claim_or("it tells the server so: FIN", Fault::Hung, fin.is_ok());

    stage.step("the server closes too");
    server.must("close")?;
    stage.claim_ends_well("the program ends with status 0", &stranger);
    stage.claim_output("it has written nothing to standard output", &stranger, &[]);
    Ok(())
}
