//! A middlebox resets an idle connection at the server (RFC 5382 5).

use super::{customer, open};
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::{Played, Stage};
use crate::trial::Fault;

trial! {
    "middlebox-forgets-with-reset", "a middlebox resets an idle connection", "RFC 5382 5",
    "RST comes while the program waits for a client's next line. Does it survive, and let go of the connection?",
    "middlebox_forgets_with_reset.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client gets a line back; its next packet is followed by RST");
    let stranger = open(stage)?;
    let warm = customer(stage)?;
    stage.claim_serves("a line comes back", &stranger, &warm)?;
    warm.must("close")?;
    stage.claim_no_close_wait("nothing is left of that");
    let before = settled(&stranger);
    let client = customer(stage)?;
    stage.claim_serves("the line comes back", &stranger, &client)?;
    stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetReceiver).once());
    stage.decisive();
    client.must("line again")?;
    stage.claim_packet("RST arrives", &Matcher::rst().from_client());

    stage.step("another client comes");
    stage.claim_serves_another("the line comes back to it", &stranger)?;
    stage.claim_runs("the program goes on", &stranger);
    stage.claim_no_zombies("no zombie is left", &stranger);
    let closed = stage.comes(super::END, || stranger.program.descriptors() <= before + 1);
    stage.claim_or("the dead connection's descriptor is closed", Fault::Leaked, closed);
    Ok(())
}

/// How many descriptors it has between two clients.
fn settled(stranger: &super::Stranger) -> usize {
    let mut least = stranger.program.descriptors();
    Stage::until(std::time::Duration::from_millis(200), || {
        least = least.min(stranger.program.descriptors());
        false
    });
    least
}
