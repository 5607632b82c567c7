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
    stage.step("twenty lines of 1000 bytes are typed and the input ends; the second data segment of each side is lost");
    let rules = vec![
        Rule::drop(Matcher::data().from_client()).nth(2),
        Rule::drop(Matcher::data().from_server()).nth(2),
    ];
    let (stranger, lines, said) = through(stage, rules)?;
    stage.claim_echoed("the server got everything and could send it back", &said, 20000);
    stage.claim_ends_well("the program ends with status 0", &stranger);
    stage.claim_output("every line came back, in order, once", &stranger, &lines);
    Ok(())
}
