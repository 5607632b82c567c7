//! long packets vanish on the way: the stream is right all the same (RFC 2923, RFC 4821).

use super::through;
use crate::impairment::{Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "mtu-black-hole", "long packets vanish on the way", "RFC 2923, RFC 4821",
    "Twenty lines go there and back over such a path. Are they all there, in order, once?",
    "mtu_black_hole.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("twenty lines of 1000 bytes are typed and the input ends; packets longer than 1400 bytes vanish, and the kernels probe");
    stage.two().set_sysctl("net.ipv4.tcp_mtu_probing", "1")?;
    stage.two().set_sysctl("net.ipv4.tcp_retries1", "1")?;
    let rules = vec![
        Rule::drop(Matcher::any_tcp().longer_than(1400)),
    ];
    let (stranger, lines, said) = through(stage, rules)?;
    stage.claim_echoed("the server got everything and could send it back", &said, 20000);
    stage.claim_ends_well("the program ends with status 0", &stranger);
    stage.claim_output("every line came back, in order, once", &stranger, &lines);
    Ok(())
}
