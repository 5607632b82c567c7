//! A client closes with replies unread: RST in the middle of the transfer (RFC 1122 4.2.2.13).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::trial::Fault;

trial! {
    "close-with-unread-data", "a client resets in the middle of a transfer", "RFC 1122 4.2.2.13",
    "A client sends 100000 bytes and closes with the replies unread. Does the program survive the RST?",
    "close_with_unread_data.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.two().watch_states(false);
    stage.step("a client sends 100000 bytes; when replies have come it closes without reading");
    let stranger = open(stage)?;
    let client = customer(stage)?;
    client.must("send 100000 lines")?;
    let reply = stage.delivered(&Matcher::data().from_server(), 0, super::END);
    stage.claim_or("replies come", Fault::Hung, reply.is_ok());
    stage.decisive();
    client.must("close")?;
    stage.claim_packet("the client's kernel sends RST", &Matcher::rst().from_client());

    stage.step("another client comes");
    stage.claim_serves_another("the line comes back to it", &stranger)?;
    stage.claim_runs("the program goes on", &stranger);
    stage.claim_no_zombies("no zombie is left", &stranger);
    let left = stage.comes(super::END, || stage.connections_of_any_family(Side::Server).len() <= 1);
    stage.claim("the server's kernel has forgotten the first", left);
    Ok(())
}
