//! segments arrive twice: the stream is right all the same (RFC 9293 3.10.7.4).

use super::through;
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "segment-doubled", "segments arrive twice", "RFC 9293 3.10.7.4",
    "A client sends 20000 bytes over such a path and ends its half. Do they all come back, in order, once?",
    "segment_doubled.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client sends 20000 bytes and ends its half; every data segment arrives twice");
    let rules = vec![
        Rule::new(Matcher::data(), Action::Duplicate),
    ];
    let (stranger, client) = through(stage, rules)?;
    stage.claim_comes_back("all bytes come back, in order, once", &stranger, &client, 20_000)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
