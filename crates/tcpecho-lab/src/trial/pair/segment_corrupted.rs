//! segments are corrupted: the stream is right all the same (RFC 9293 3.1).

use super::through;
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "segment-corrupted", "segments are corrupted", "RFC 9293 3.1",
    "Twenty lines go there and back over such a path. Are they all there, in order, once?",
    "segment_corrupted.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("twenty lines of 1000 bytes are typed at the client and the input ends; a bit of the second data segment of each side is flipped");
    let rules = vec![
        Rule::new(Matcher::data().from_client(), Action::Corrupt).nth(2),
        Rule::new(Matcher::data().from_server(), Action::Corrupt).nth(2),
    ];
    let (pair, lines) = through(stage, rules)?;
    stage.claim_ends_well("the client ends with status 0", &pair.client);
    stage.claim_output("every line came back, in order, once", &pair.client, &lines);
    stage.claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    stage.claim_runs("the server goes on", &pair.server);
    Ok(())
}
