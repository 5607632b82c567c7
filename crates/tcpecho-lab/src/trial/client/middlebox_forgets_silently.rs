//! A middlebox has forgotten the connection and swallows its segments (RFC 5382 5).

use std::time::Duration;

use super::{exchange, meet};
use crate::impairment::{Matcher, Rule};
use crate::stage::{Played, Stage};

trial! {
    "middlebox-forgets-silently", "a middlebox forgets the connection and says nothing", "RFC 5382 5",
    "After a pause nothing passes any more. Does the program end once its kernel has given up, and say that it failed?",
    "middlebox_forgets_silently.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back; from now on every segment vanishes");
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let (stranger, server) = meet(stage)?;
    exchange(stage, &stranger, &server, "one")?;
    stage.wire_rule(Rule::drop(Matcher::any_tcp()).because("no such flow"));

    stage.step("a line is typed and the input ends");
    stage.decisive();
    stranger.types("two");
    stranger.ends_input();
    stage.claim_fails("the program ends, and its status is not 0", &stranger);
    stage.claim_output("the line that came back was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
