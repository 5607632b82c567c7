//! A write after FIN and RST (UNP 5.13).

use super::{exchange, meet};
use crate::impairment::{Action, Matcher, Rule};
use crate::side::Side;
use crate::stage::{PATIENCE, Played, Stage};

trial! {
    "sigpipe", "the program writes when the connection is already reset", "UNP 5.13",
    "FIN and RST have come and the program is still to learn of them when it has a line to send. Does SIGPIPE kill it?",
    "sigpipe.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back, then the program is stopped");
    let (stranger, server) = meet(stage)?;
    exchange(stage, &stranger, &server, "one")?;
    stranger.program.wait_asleep(PATIENCE)?;
    stranger.program.stop()?;

    stage.step("the server closes, and RST follows its FIN; two lines are typed");
    stage.wire_rule(Rule::new(Matcher::fin().from_server(), Action::ResetReceiver));
    server.must("close")?;
    stage.claim_packet("FIN and RST have arrived", &Matcher::rst().from_server());
    stage.claim_none_left("the client's kernel has no connection left", Side::Client, crate::stage::PORT);
    stranger.types("two");
    stranger.types("three");

    stage.step("the program goes on");
    stage.decisive();
    stranger.program.go_on()?;
    stage.claim_ends("it ends, and not by SIGPIPE", &stranger);
    stage.claim_output("the line that came back was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
