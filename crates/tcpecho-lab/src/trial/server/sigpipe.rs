//! A client's FIN and RST are there when the program writes (UNP 5.13).

use super::{customer, open};
use crate::impairment::{Action, Matcher, Rule};
use crate::side::Side;
use crate::stage::{PORT, Played, Stage};

trial! {
    "sigpipe", "the program writes to a client that has gone", "UNP 5.13",
    "A client sends a line, closes, and resets. Does SIGPIPE kill the program when it writes?",
    "sigpipe.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("the program is stopped; a client sends a line and closes, and RST follows its FIN");
    let stranger = open(stage)?;
    stranger.program.stop()?;
    let client = customer(stage)?;
    stage.wire_rule(Rule::new(Matcher::fin().from_client(), Action::ResetReceiver).once());
    client.must("line hello")?;
    client.must("close")?;
    stage.claim_packet("FIN and RST have arrived", &Matcher::rst().from_client());
    let gone = stage.comes(super::PATIENCE, || {
        stage.connections_of_any_family(Side::Server).iter().all(|socket| socket.local.port() != PORT)
    });
    stage.claim("the server's kernel has no connection left", gone);

    stage.step("the program goes on, and another client comes");
    stranger.program.go_on()?;
    stage.claim_serves_another("the line comes back to it", &stranger)?;
    stage.claim_runs("the program goes on", &stranger);
    stage.claim_no_zombies("no zombie is left", &stranger);
    Ok(())
}
