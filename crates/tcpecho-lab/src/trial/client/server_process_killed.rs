//! The server's process is killed while the program waits at the keyboard (UNP 5.12, 6.2).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};
use tcpecho_os::tcp_state::TcpState;

trial! {
    "server-process-killed", "the server's process is killed", "UNP 5.12, 6.2",
    "The server's FIN comes while nobody types. Does the program notice, or only when the next line is typed?",
    "server_process_killed.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back, then the server's process is killed");
    let (stranger, server) = meet(stage)?;
    exchange(stage, &stranger, &server, "one")?;
    stage.decisive();
    server.program().kill();
    stage.claim_packet("its kernel sends FIN", &Matcher::fin().from_server());
    stage.claim_notices("the program notices while nobody types", &stranger);

    stage.step("another line is typed if it runs still");
    if stranger.program.exit().is_none() {
        stranger.types("two");
        let state = stage.two().client.wait_for_state(
            stage.family(),
            crate::stage::PORT,
            TcpState::CloseWait,
            std::time::Duration::from_millis(1),
        );
        if state.is_ok() {
            stage.note("held the socket in CLOSE_WAIT while nobody typed");
        }
    }
    if stranger.program.wait(super::NOTICE).is_err() {
        stranger.types("three");
    }
    stage.claim_ends("it ends, and not by a signal", &stranger);
    stage.claim_output("the line that came back was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
