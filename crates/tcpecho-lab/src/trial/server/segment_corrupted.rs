//! segments are corrupted: the stream is right all the same (RFC 9293 3.1).

use super::through;
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "segment-corrupted", "segments are corrupted", "RFC 9293 3.1",
    "A client sends 20000 bytes over such a path and ends its half. Do they all come back, in order, once?",
    "segment_corrupted.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client sends 20000 bytes and ends its half; a bit of the second data segment of each side is flipped");
    let rules = vec![
        Rule::new(Matcher::data().from_client(), Action::Corrupt).nth(2),
        Rule::new(Matcher::data().from_server(), Action::Corrupt).nth(2),
    ];
    let (stranger, client) = through(stage, rules)?;
    stage.claim_comes_back("all bytes come back, in order, once", &stranger, &client, 20_000)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
