//! long packets vanish on the way: the stream is right all the same (RFC 2923, RFC 4821).

use super::through;
use crate::impairment::{Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "mtu-black-hole", "long packets vanish on the way", "RFC 2923, RFC 4821",
    "A client sends 20000 bytes over such a path and ends its half. Do they all come back, in order, once?",
    "mtu_black_hole.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client sends 20000 bytes and ends its half; packets longer than 1400 bytes vanish, and the kernels probe");
    stage.two().set_sysctl("net.ipv4.tcp_mtu_probing", "1")?;
    stage.two().set_sysctl("net.ipv4.tcp_retries1", "1")?;
    let rules = vec![
        Rule::drop(Matcher::any_tcp().longer_than(1400)),
    ];
    let (stranger, client) = through(stage, rules)?;
    stage.claim_comes_back("all bytes come back, in order, once", &stranger, &client, 20_000)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
