//! A line comes in small pieces (UNP 3.9).

use super::{customer, open};
use crate::stage::{Played, Stage};

trial! {
    "short-counts", "a line comes in small pieces", "UNP 3.9",
    "A client sends a line a few bytes at a time. Does it come back whole?",
    "short_counts.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client sends a line byte by byte");
    let stranger = open(stage)?;
    let client = customer(stage)?;
    client.must("setsockopt nodelay on")?;
    for byte in b'a'..=b'z' {
        client.must(&format!("send {}", char::from(byte)))?;
    }
    for byte in b'a'..=b'z' {
        client.must(&format!("send {}", char::from(byte)))?;
    }
    // The pattern's first 52 bytes are twice the alphabet; the next are its beginning again.
    client.must("send abcdefghi")?;
    client.must("line ab")?;
    client.must("shutdown wr")?;
    stage.claim_comes_back("all of it comes back, in order", &stranger, &client, 64)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
