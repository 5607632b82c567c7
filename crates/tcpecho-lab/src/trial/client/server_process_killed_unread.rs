//! The server's process is killed with something unread: RST instead of FIN (UNP 5.12, RFC 1122 4.2.2.13).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::{PATIENCE, Played, Stage};

trial! {
    "server-process-killed-unread", "the server's process is killed before it has read a line", "UNP 5.12, RFC 1122 4.2.2.13",
    "A line was sent and not read when the server dies. Does the program say that its line is lost?",
    "server_process_killed_unread.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back, the next is not read, and the server's process is killed");
    let (stranger, server) = meet(stage)?;
    exchange(stage, &stranger, &server, "one")?;
    let mark = stage.two().timeline.mark();
    stranger.types("two");
    stage.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
    stage.decisive();
    server.program().kill();
    stage.claim_packet("its kernel sends RST", &Matcher::rst().from_server());
    stage.claim_notices("the program notices while nobody types", &stranger);

    stage.step("more is typed and the input ends if it runs still");
    stranger.gets_more();
    stage.claim_fails("it ends, and its status is not 0: a line is lost", &stranger);
    stage.claim_output("the line that came back was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
