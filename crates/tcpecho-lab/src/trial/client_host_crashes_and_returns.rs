//! A client's host crashes, reboots, and connects again from the same port (RFC 9293 3.5.1).

use super::harness::Harness;
use super::{Fault, server};
use crate::side::Side;
use crate::stage::{Agent, Broken};

trial! { SERVER, harness;
    name: "client-host-crashes-and-returns",
    title: "a client's host crashes and connects again from the same port",
    source: "UNP 5.15, RFC 9293 3.5.1",
    question: "The program still holds the old connection when the same client connects again. \
               Is the client served?";

    step "a client connects from port 40000, and its line is echoed; its host loses power and boots";
    let program = server::open(harness)?;
    let old = from_the_same_port(harness)?;
    claim_serves("the client's line is echoed", &old)?;
    harness.stage.two_mut().client.power_off();
    claim_runs("the program still runs, because no packet has told it of the crash", &program);
    let before = harness.connections_of_any_family(Side::Server).len();
    claim_or("the server's kernel still has the connection", Fault::Lost, before == 1);
    harness.stage.two_mut().client.reboot()?;

    step "the client connects again from the same port";
    let new = from_the_same_port(harness)?;
    claim_serves("the new connection's line is echoed", &new)?;
    claim_runs("the program still runs", &program);
}

fn from_the_same_port(harness: &mut Harness) -> Result<Agent, Broken> {
    let client = harness.stage.client()?;
    client.must(&format!("bind {} 40000", Side::Client.address(harness.stage.family())))?;
    client.must("sigpipe ignore")?;
    harness.needs(&client, &harness.stage.connect_line())?;
    Ok(client)
}
