//! The accept queue is full for a while (UNP 4.5).

use super::echoed;
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PATIENCE, Played, Stage};

trial! {
    "backlog-full", "the server's accept queue is full for a while", "UNP 4.5",
    "The first SYN is ignored, the second answered. Does the program wait for it?",
    "backlog_full.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a backlog of 0, which another client fills; the program connects, and its SYN is ignored");
    let server = stage.listening(0)?;
    server.must("sigpipe ignore")?;
    let other = stage.client()?;
    other.must(&stage.connect_line())?;
    stage.wait_for_queue(1)?;
    let mark = stage.two().timeline.mark();
    stage.decisive();
    let stranger = stage.stranger(Side::Client)?;
    stage.delivered(&Matcher::syn(), mark, PATIENCE)?;
    stage.claim_runs("the program waits", &stranger);

    stage.step("the server accepts the other client: there is room");
    server.must("accept")?;
    server.must("0: accept")?;
    stranger.types("one");
    stranger.ends_input();
    let said = echoed(stage, &server, 4)?;
    stage.claim_echoed("the program's line arrives", &said, 4);
    server.call("close")?;
    stage.claim_ends_well("it ends with status 0", &stranger);
    stage.claim_output("the line has come back", &stranger, &["one".into()]);
    Ok(())
}
