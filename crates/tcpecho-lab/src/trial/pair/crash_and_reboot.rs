//! The server's host crashes and boots again: it answers with RST (UNP 5.15).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};

trial! {
    "crash-and-reboot", "the server's host crashes and boots again", "UNP 5.15",
    "The host knows nothing of the connection any more. Does the client say that its line is lost, and can the server be started again?",
    "crash_and_reboot.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back; the server's host loses power, boots, and the server is started again");
    let pair = meet(stage)?;
    exchange(stage, &pair, "one")?;
    stage.two_mut().server.power_off();
    stage.two_mut().server.reboot()?;
    let server = super::open(stage)?;
    stage.claim_runs("the client cannot know yet", &pair.client);

    stage.step("a line is typed");
    stage.decisive();
    pair.client.types("two");
    stage.claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    stage.claim_fails("the client ends, and its status is not 0", &pair.client);
    stage.claim_output("the client has written the line that came back, and nothing else", &pair.client, &["one".into()]);
    stage.claim_runs("the server that was started again goes on", &server);
    Ok(())
}
