//! A middlebox has forgotten the connection and answers with RST (RFC 5382 5).

use super::{exchange, meet};
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "middlebox-forgets-with-reset", "a middlebox forgets the connection and answers with RST", "RFC 5382 5",
    "The next line is answered with RST, and the input has ended. Does the program say that the line is lost?",
    "middlebox_forgets_with_reset.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back; from now on data is answered with RST");
    let (stranger, server) = meet(stage)?;
    exchange(stage, &stranger, &server, "one")?;
    stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetSender));

    stage.step("a line is typed and the input ends");
    stage.decisive();
    stranger.types("two");
    stranger.ends_input();
    stage.claim_packet("RST comes", &Matcher::rst().from_server());
    stage.claim_fails("the program ends, and its status is not 0", &stranger);
    stage.claim_output("the line that came back was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
