//! A connection comes about, and nothing else happens (UNP 5.6).

use super::{Pair, meet};
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::trial::Fault;

trial! {
    "normal-startup", "the client connects to the server", "UNP 5.6",
    "Do the two come together, wait for input, and part well when there is none?",
    "normal_startup.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("the server is started and listens, the client is started and connects");
    let Pair { client, server } = meet(stage)?;
    stage.claim_established("the client is ESTABLISHED", Side::Client);
    stage.claim_established("the server is ESTABLISHED", Side::Server);
    stage.claim_runs("the client waits for input", &client);

    stage.step("the client's input ends, with nothing in it");
    stage.decisive();
    client.ends_input();
    stage.claim_closes("the client tells the server so: FIN", Side::Client, Fault::Hung);
    stage.claim_closes("the server closes too: FIN", Side::Server, Fault::CloseWait);
    stage.claim_ends_well("the client ends with status 0", &client);
    stage.claim_output("the client has written nothing to standard output", &client, &[]);
    stage.claim_runs("the server goes on", &server);
    Ok(())
}
