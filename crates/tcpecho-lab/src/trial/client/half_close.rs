//! The input ends while replies are owed (UNP 6.6).

use super::{echoed, meet};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};
use crate::trial::Fault;
use std::time::Duration;

trial! {
    "half-close", "the input ends while replies are owed", "UNP 6.6",
    "Ten lines are typed and the input ends before the first reply. Does every reply come out, and does the server learn of the end?",
    "half_close.rs"
}

/// How long the replies wait for FIN; a program that sends it only after them is no worse.
const FIN_FIRST: Duration = Duration::from_secs(1);

fn play(stage: &mut Stage) -> Played {
    stage.step("ten lines are typed and the input ends; the server reads nothing yet");
    let (stranger, server) = meet(stage)?;
    let lines: Vec<String> = (1..=10).map(|number| format!("line {number}")).collect();
    for line in &lines {
        stranger.types(line);
    }
    stage.decisive();
    stranger.ends_input();
    let fin = Matcher::fin().from_client();
    if stage.delivered(&fin, 0, FIN_FIRST).is_err() {
        stage.note("sends no FIN before it has every reply");
    }

    stage.step("now the server echoes");
    let bytes = lines.iter().map(|line| line.len() + 1).sum();
    let said = echoed(stage, &server, bytes)?;
    stage.claim_echoed("the server got everything and could send it back", &said, bytes);
    let told = stage.delivered(&fin, 0, super::END);
    stage.claim_or("the program says that it is done: FIN", Fault::Hung, told.is_ok());

    stage.step("the server closes");
    server.call("close")?;
    stage.claim_ends_well("the program ends with status 0", &stranger);
    stage.claim_output("every line came back", &stranger, &lines);
    Ok(())
}
