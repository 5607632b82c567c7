//! A long line comes back in small pieces (UNP 3.9).

use super::meet;
use crate::stage::{Played, Stage};

trial! {
    "short-counts", "a long line comes back in small pieces", "UNP 3.9",
    "A line of 20000 bytes comes back 97 bytes at a time. Is it written whole?",
    "short_counts.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.two().watch_states(false);
    stage.step("a line of 20000 bytes is typed and the input ends; the server sends it back in pieces of 97 bytes");
    let (stranger, server) = meet(stage)?;
    server.must("setsockopt nodelay on")?;
    let line: String = ('a'..='z').cycle().take(19_999).collect();
    stranger.types(&line);
    stranger.ends_input();
    server.begin("echo 20000 in 97")?;
    let said = stage.hears(&server, super::END);
    let said = said.unwrap_or_else(|_| super::NOTHING_CAME.into());
    stage.claim_echoed("the server got everything and could send it back", &said, 20000);
    server.call("close")?;
    stage.claim_ends_well("the program ends with status 0", &stranger);
    stage.claim_output("the line came back, whole", &stranger, &[line]);
    Ok(())
}
