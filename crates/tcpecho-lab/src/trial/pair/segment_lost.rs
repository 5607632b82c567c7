//! segments are lost: the stream is right all the same (RFC 6298, RFC 5681).

use super::through;
use crate::impairment::{Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "segment-lost", "segments are lost", "RFC 6298, RFC 5681",
    "Twenty lines go there and back over such a path. Are they all there, in order, once?",
    "segment_lost.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("twenty lines of 1000 bytes are typed at the client and the input ends; the second data segment of each side is lost");
    let rules = vec![
        Rule::drop(Matcher::data().from_client()).nth(2),
        Rule::drop(Matcher::data().from_server()).nth(2),
    ];
    let (pair, lines) = through(stage, rules)?;
    stage.claim_ends_well("the client ends with status 0", &pair.client);
    stage.claim_output("every line came back, in order, once", &pair.client, &lines);
    stage.claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    stage.claim_runs("the server goes on", &pair.server);
    Ok(())
}
