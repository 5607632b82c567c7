//! The server answers and ends at once, as on SIGTERM: the last reply and FIN come together (UNP 5.16).

use super::{answer, meet};
use crate::impairment::Matcher;
use crate::stage::{PATIENCE, Played, Stage};
use rustix::process::Signal;

trial! {
    "operator-shutdown", "the last reply comes together with the server's end", "UNP 5.16",
    "SIGTERM ends the server right after its last reply. Is the reply written before the end is noticed?",
    "operator_shutdown.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line is typed; the program is stopped until the reply and FIN have come");
    let (stranger, server) = meet(stage)?;
    let mark = stage.two().timeline.mark();
    stranger.types("one");
    stage.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    stranger.program.stop()?;
    answer(stage, &server, "one")?;
    server.program().signal(Signal::TERM)?;
    server.program().wait(PATIENCE)?;
    stage.claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());

    stage.step("the program goes on");
    stage.decisive();
    stranger.program.go_on()?;
    stage.claim_notices("it notices while nobody types", &stranger);

    stage.step("more is typed and the input ends if it runs still");
    stranger.gets_more();
    stage.claim_ends("it ends, and not by a signal", &stranger);
    stage.claim_output("the last reply was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
