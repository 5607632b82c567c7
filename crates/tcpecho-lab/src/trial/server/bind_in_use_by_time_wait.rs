//! The program is started again while connections of the old one are in TIME_WAIT (UNP 7.5, SO_REUSEADDR).

use super::{customer, listens, open};
use crate::side::Side;
use crate::stage::{PATIENCE, Played, Stage};
use crate::trial::Fault;
use rustix::process::Signal;

trial! {
    "bind-in-use-by-time-wait", "the program is started again at once", "UNP 7.5",
    "The program ends first, so TIME_WAIT stays with its host. Can it listen on the same port again?",
    "bind_in_use_by_time_wait.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a client gets a line back; the program gets SIGTERM, then the client closes");
    let stranger = open(stage)?;
    let client = customer(stage)?;
    stage.claim_serves("the line comes back", &stranger, &client)?;
    let _ = stranger.program.signal(Signal::TERM);
    let fin = crate::impairment::Matcher::fin().from_server();
    // A child may have kept the connection; then it closes second, and nothing stays.
    let _ = stage.delivered(&fin, 0, std::time::Duration::from_millis(500));
    client.must("close")?;
    if stranger.program.wait(super::END).is_err() {
        stranger.program.kill();
        stage.note("had to be killed");
    }
    let closed = stage.comes(PATIENCE, || !listens(stage));
    stage.claim("nobody listens any more", closed);
    let left = stage.connections_of_any_family(Side::Server);
    if left.is_empty() {
        stage.note("nothing was left in TIME_WAIT");
    }

    stage.step("the program is started again");
    let again = stage.stranger(Side::Server)?;
    let up = stage.comes(super::END, || listens(stage) || again.program.exit().is_some());
    stage.claim_or("it listens again", Fault::InUse, up && listens(stage));
    if listens(stage) {
        stage.claim_serves_another("a line comes back", &again)?;
    }
    Ok(())
}
