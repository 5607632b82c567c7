//! A client's host crashes, boots, and connects again from the same port (RFC 9293 3.5.1).

use super::open;
use crate::side::Side;
use crate::stage::{Actor, Broken, Played, Stage};

trial! {
    "client-host-crashes-and-returns", "a client's host crashes and connects again from the same port", "UNP 5.15, RFC 9293 3.5.1",
    "The program still holds the old connection when the same client calls again. Is the client served?",
    "client_host_crashes_and_returns.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client connects from port 40000 and gets a line back; its host loses power and boots");
    let stranger = open(stage)?;
    let old = from_the_same_port(stage)?;
    stage.claim_serves("the line comes back", &stranger, &old)?;
    stage.two_mut().client.power_off();
    stage.claim_runs("the program cannot know", &stranger);
    let before = stage.connections_of_any_family(Side::Server).len();
    stage.claim("the server's kernel still has the connection", before == 1);
    stage.two_mut().client.reboot()?;

    stage.step("the client connects again from the same port");
    let new = from_the_same_port(stage)?;
    stage.claim_serves("the line comes back to it", &stranger, &new)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}

fn from_the_same_port(stage: &Stage) -> Result<Actor, Broken> {
    let client = stage.client()?;
    client.must(&format!("bind {} 40000", Side::Client.address(stage.family())))?;
    client.must(&stage.connect_line())?;
    Ok(client)
}
