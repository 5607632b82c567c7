//! Nobody listens (UNP 4.3).

use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{Played, Stage};

trial! {
    "refused", "nobody listens", "UNP 4.3",
    "RST answers the SYN. Does the program say that it failed?",
    "refused.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("the program is started; nobody listens on the port");
    stage.decisive();
    let stranger = stage.stranger(Side::Client)?;
    stage.claim_packet("RST answers", &Matcher::rst().from_server());
    stage.claim_fails("the program ends, and its status is not 0", &stranger);
    stage.claim_output("it has written nothing to standard output", &stranger, &[]);
    Ok(())
}
