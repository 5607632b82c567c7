//! The server answers one line and closes with another unread: data, then RST (RFC 1122 4.2.2.13).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::{PATIENCE, Played, Stage};

trial! {
    "close-with-unread-data", "the server closes with a line unread", "RFC 1122 4.2.2.13, RFC 2525 2.17",
    "One reply comes, then RST, and the input has ended. Does the program say that a line is lost?",
    "close_with_unread_data.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("two lines are typed and the input ends; the server answers one and closes");
    let (stranger, server) = meet(stage)?;
    exchange(stage, &stranger, &server, "one")?;
    let mark = stage.two().timeline.mark();
    stranger.types("two");
    stage.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    stranger.ends_input();
    stage.decisive();
    server.must("close")?;
    stage.claim_packet("RST comes", &Matcher::rst().from_server());
    stage.claim_fails("the program ends, and its status is not 0", &stranger);
    stage.claim_output("the reply was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
