//! The server's process is killed while the client waits at the keyboard (UNP 5.12, 6.2).

use super::{exchange, kill_all, meet};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};

trial! {
    "server-process-killed", "the server's process is killed", "UNP 5.12, 6.2",
    "The server's kernel closes for it while nobody types. Does the client notice, or only when the next line is typed?",
    "server_process_killed.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back, then the server's process and its children are killed");
    let pair = meet(stage)?;
    exchange(stage, &pair, "one")?;
    let descendants = pair.server.program.descendants()?;
    stage.decisive();
    kill_all(&pair.server, descendants);
    stage.claim_packet("the server's kernel sends FIN", &Matcher::fin().from_server());
    stage.claim_notices("the client notices while nobody types", &pair.client);

    stage.step("more is typed and the input ends if the client runs still");
    pair.client.gets_more();
    stage.claim_ends("the client ends, and not by a signal", &pair.client);
    stage.claim_output("the client has written the line that came back, and nothing else", &pair.client, &["one".into()]);
    Ok(())
}
