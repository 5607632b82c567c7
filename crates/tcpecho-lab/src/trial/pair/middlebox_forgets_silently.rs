//! A middlebox has forgotten the connection and swallows its segments (RFC 5382 5).

use std::time::Duration;

use super::{exchange, meet};
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Played, Stage};

trial! {
    "middlebox-forgets-silently", "a middlebox forgets the connection and says nothing", "RFC 5382 5",
    "After a pause nothing passes any more. Does the client end and say that it failed, and what is left at the server?",
    "middlebox_forgets_silently.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back; from now on every segment vanishes");
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let pair = meet(stage)?;
    exchange(stage, &pair, "one")?;
    stage.wire_rule(Rule::drop(Matcher::any_tcp()).because("no such flow"));

    stage.step("a line is typed and the input ends");
    stage.decisive();
    pair.client.types("two");
    pair.client.ends_input();
    stage.claim_fails("the client ends, and its status is not 0", &pair.client);
    stage.claim_output("the client has written the line that came back, and nothing else", &pair.client, &["one".into()]);
    stage.claim_runs("the server, which cannot know, goes on", &pair.server);
    if !stage.connections_of_any_family(Side::Server).is_empty() {
        stage.note("the server still has the connection");
    }
    Ok(())
}
