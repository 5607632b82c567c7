//! A connection is reset while it waits in the accept queue (UNP 5.11).

use super::{customer, open};
use crate::impairment::Matcher;
use crate::stage::{PATIENCE, Played, Stage};

trial! {
    "abort-before-accept", "a client resets its connection before it is accepted", "UNP 5.11",
    "Linux gives the program a connection that is dead already. Does it survive that, and serve the next client?",
    "abort_before_accept.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("the program is stopped; one client resets its connection at once, another after it sent a line");
    let stranger = open(stage)?;
    stranger.program.stop()?;
    for line in [None, Some("line hello")] {
        let client = customer(stage)?;
        let mark = stage.two().timeline.mark();
        if let Some(line) = line {
            client.must(line)?;
            stage.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
        }
        client.must("setsockopt linger 0")?;
        client.must("close")?;
        stage.delivered(&Matcher::rst().from_client(), mark, PATIENCE)?;
    }

    stage.step("the program goes on, and a third client comes");
    stranger.program.go_on()?;
    stage.claim_serves_another("the line comes back to it", &stranger)?;
    stage.claim_runs("the program goes on", &stranger);
    stage.claim_no_zombies("no zombie is left", &stranger);
    Ok(())
}
