//! A middlebox has forgotten the connection and answers with RST (RFC 5382 5).

use super::{exchange, meet};
use crate::impairment::{Action, Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "middlebox-forgets-with-reset", "a middlebox forgets the connection and answers with RST", "RFC 5382 5",
    "The next line is answered with RST, and the input has ended. Does the client say that the line is lost, and does the server go on?",
    "middlebox_forgets_with_reset.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back; from now on the client's data are answered with RST");
    let pair = meet(stage)?;
    exchange(stage, &pair, "one")?;
    stage.wire_rule(Rule::new(Matcher::data().from_client(), Action::ResetSender));

    stage.step("a line is typed and the input ends");
    stage.decisive();
    pair.client.types("two");
    pair.client.ends_input();
    stage.claim_packet("RST comes to the client", &Matcher::rst().from_server());
    stage.claim_fails("the client ends, and its status is not 0", &pair.client);
    stage.claim_output("the client has written the line that came back, and nothing else", &pair.client, &["one".into()]);
    stage.claim_runs("the server, which was not told, goes on", &pair.server);
    Ok(())
}
