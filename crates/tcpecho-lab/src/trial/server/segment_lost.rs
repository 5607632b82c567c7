//! segments are lost: the stream is right all the same (RFC 6298, RFC 5681).

use super::through;
use crate::impairment::{Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "segment-lost", "segments are lost", "RFC 6298, RFC 5681",
    "A client sends 20000 bytes over such a path and ends its half. Do they all come back, in order, once?",
    "segment_lost.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client sends 20000 bytes and ends its half; the second data segment of each side is lost");
    let rules = vec![
        Rule::drop(Matcher::data().from_client()).nth(2),
        Rule::drop(Matcher::data().from_server()).nth(2),
    ];
    let (stranger, client) = through(stage, rules)?;
    stage.claim_comes_back("all bytes come back, in order, once", &stranger, &client, 20_000)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
