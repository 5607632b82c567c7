//! a router cannot pass long packets on and says so: the stream is right all the same (UNP 2.11, RFC 1191).

use super::through;
use crate::impairment::{Matcher, Rule};
use crate::packet::IcmpError;
use crate::stage::{Played, Stage};

trial! {
    "fragmentation-needed", "a router cannot pass long packets on and says so", "UNP 2.11, RFC 1191",
    "A client sends 20000 bytes over such a path and ends its half. Do they all come back, in order, once?",
    "fragmentation_needed.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client sends 20000 bytes and ends its half; packets longer than 1400 bytes are answered with packet too big");
    let rules = vec![
        Rule::answer(Matcher::any_tcp().longer_than(1400), IcmpError::TooBig(1400)),
    ];
    let (stranger, client) = through(stage, rules)?;
    stage.claim_comes_back("all bytes come back, in order, once", &stranger, &client, 20_000)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
