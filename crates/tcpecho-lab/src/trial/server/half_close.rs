//! A client sends much, ends its half, and then reads (UNP 6.6).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};

trial! {
    "half-close", "a client ends its half and then reads", "UNP 6.6",
    "100000 bytes and FIN are there before the client reads anything. Does it get all of them, and then the program's FIN?",
    "half_close.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.two().watch_states(false);
    stage.step("a client sends 100000 bytes and ends its half");
    let stranger = open(stage)?;
    let client = customer(stage)?;
    client.must("send 100000 lines")?;
    client.must("shutdown wr")?;
    stage.claim_comes_back("all bytes come back, then end of file", &stranger, &client, 100_000)?;
    stage.claim("nobody sent RST", stage.count(&Matcher::rst()) == 0);
    stage.claim_no_close_wait("no socket is left in CLOSE_WAIT");
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
