//! Nothing answers the SYN (UNP 4.3).

use crate::impairment::{Matcher, Rule};
use crate::pace::Timer;
use crate::side::Side;
use crate::stage::{Played, Stage};

trial! {
    "syn-dropped", "nothing answers the SYN", "UNP 4.3",
    "The kernel gives up after two SYNs and three seconds. Does the program end then, and say that it failed?",
    "syn_dropped.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("every SYN is lost");
    stage.shorten(Side::Client, Timer::Syn, &[1, 0])?;
    stage.wire_rule(Rule::drop(Matcher::syn()));
    stage.decisive();
    let stranger = stage.stranger(Side::Client)?;
    let again = stage.sent(&Matcher::syn(), 0, crate::stage::PATIENCE);
    stage.claim("the program asks for a connection", again.is_ok());
    // The kernel's own time, on top of what the program may take.
    let _ = stranger.program.wait(super::NOTICE);
    stage.claim_fails("it ends, and its status is not 0", &stranger);
    stage.claim_output("it has written nothing to standard output", &stranger, &[]);
    Ok(())
}
