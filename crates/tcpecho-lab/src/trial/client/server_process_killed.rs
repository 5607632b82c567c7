//! The server's process is killed while the program waits at the keyboard (UNP 5.12, 6.2).

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::{PORT, Played, Stage};
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

    stage.step("more is typed and the input ends if it runs still");
    let held = stage.connections(Side::Client, PORT);
    if held.iter().any(|socket| socket.state == TcpState::CloseWait) {
        stage.note("held the socket in CLOSE_WAIT while nobody typed");
    }
    stranger.gets_more();
    stage.claim_ends("it ends, and not by a signal", &stranger);
    stage.claim_output("the line that came back was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
