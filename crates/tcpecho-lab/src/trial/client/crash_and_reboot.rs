//! The server's host crashes and boots again: it answers with RST (UNP 5.15).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};

trial! {
    "crash-and-reboot", "the server's host crashes and boots again", "UNP 5.15",
    "The host knows nothing of the connection any more. Does the program say that its line is lost?",
    "crash_and_reboot.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back; the server's host loses power and boots");
    let (stranger, server) = meet(stage)?;
    exchange(stage, &stranger, &server, "one")?;
    stage.two_mut().server.power_off();
    stage.two_mut().server.reboot()?;
    stage.claim_runs("the program cannot know yet", &stranger);

    stage.step("a line is typed");
    stage.decisive();
    stranger.types("two");
    stage.claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    stage.claim_fails("the program ends, and its status is not 0", &stranger);
    stage.claim_output("the line that came back was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
