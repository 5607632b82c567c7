//! segments overtake each other: the stream is right all the same (RFC 9293 3.10.7.4).

use super::through;
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "segments-reordered", "segments overtake each other", "RFC 9293 3.10.7.4",
    "A client sends 20000 bytes over such a path and ends its half. Do they all come back, in order, once?",
    "segments_reordered.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client sends 20000 bytes and ends its half; some segments are overtaken by the next");
    let rules = vec![
        Rule::new(Matcher::data().from_client(), Action::Reorder).nth(2),
        Rule::new(Matcher::data().from_server(), Action::Reorder).nth(2),
        Rule::new(Matcher::data().from_client(), Action::Reorder).nth(3),
        Rule::new(Matcher::data().from_server(), Action::Reorder).nth(3),
    ];
    let (stranger, client) = through(stage, rules)?;
    stage.claim_comes_back("all bytes come back, in order, once", &stranger, &client, 20_000)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
