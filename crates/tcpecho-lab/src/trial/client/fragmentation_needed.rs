//! a router cannot pass long packets on and says so: the stream is right all the same (UNP 2.11, RFC 1191).

use super::through;
use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::stage::{Played, Stage};

trial! {
    "fragmentation-needed", "a router cannot pass long packets on and says so", "UNP 2.11, RFC 1191",
    "Twenty lines go there and back over such a path. Are they all there, in order, once?",
    "fragmentation_needed.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("twenty lines of 1000 bytes are typed and the input ends; packets longer than 1400 bytes are answered with packet too big");
    let rules = vec![
        Rule::answer(Matcher::any_tcp().longer_than(1400), IcmpError::TooBig(1400)),
    ];
    let (stranger, lines, said) = through(stage, rules)?;
    stage.claim_echoed("the server got everything and could send it back", &said, 20000);
    stage.claim_ends_well("the program ends with status 0", &stranger);
    stage.claim_output("every line came back, in order, once", &stranger, &lines);
    Ok(())
}
