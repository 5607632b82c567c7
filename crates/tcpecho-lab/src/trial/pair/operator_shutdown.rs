//! The operator shuts the server's host down: SIGTERM, later SIGKILL (UNP 5.16).

use super::{END, exchange, kill_all, meet};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};
use crate::trial::Fault;
use rustix::process::Signal;

trial! {
    "operator-shutdown", "the operator sends the server SIGTERM", "UNP 5.16",
    "A client is connected and idle. Does the server end on SIGTERM, and does the client notice?",
    "operator_shutdown.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back; the server gets SIGTERM, and what is left of it SIGKILL");
    let pair = meet(stage)?;
    exchange(stage, &pair, "one")?;
    let descendants = pair.server.program.descendants()?;
    stage.decisive();
    pair.server.program.signal(Signal::TERM)?;
    let ended = pair.server.program.wait(END);
    stage.claim_or("the server ends on SIGTERM", Fault::Hung, ended.is_ok());
    kill_all(&pair.server, descendants);
    let ends = [Matcher::fin().from_server(), Matcher::rst().from_server()];
    let closed = stage.comes(END, || ends.iter().any(|end| stage.count(end) > 0));
    stage.claim("the client's kernel is told: FIN, or RST", closed);
    stage.claim_notices("the client notices while nobody types", &pair.client);

    stage.step("more is typed and the input ends if the client runs still");
    pair.client.gets_more();
    stage.claim_ends("the client ends, and not by a signal", &pair.client);
    stage.claim_output("the client has written the line that came back, and nothing else", &pair.client, &["one".into()]);
    Ok(())
}
