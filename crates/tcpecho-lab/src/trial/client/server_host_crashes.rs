//! The server's host dies and nobody tells (UNP 5.14).

use std::time::Duration;

use super::{exchange, meet};
use crate::impairment::Matcher;
use crate::stage::{Played, Stage};

trial! {
    "server-host-crashes", "the server's host crashes", "UNP 5.14, RFC 6298 5",
    "Nothing answers any more. Does the program end once its kernel has given up, and say that it failed?",
    "server_host_crashes.rs"
}

fn play(stage: &mut Stage) -> Played {
    stage.step("a line goes there and back; the kernel is told to give up soon; the server's host loses power");
    stage.two().client.set_rto_min(Duration::from_millis(20))?;
    stage.two().client.set_sysctl("net.ipv4.tcp_retries2", "1")?;
    let (stranger, server) = meet(stage)?;
    exchange(stage, &stranger, &server, "one")?;
    stage.two_mut().server.power_off();

    stage.step("a line is typed, and nothing answers");
    stage.decisive();
    stranger.types("two");
    stage.claim_fails("the program ends, and its status is not 0", &stranger);
    let sent = stage.count(&Matcher::data().from_client().containing("two"));
    stage.claim("its kernel had tried several times", sent > 1);
    stage.claim_output("the line that came back was written, and nothing else", &stranger, &["one".into()]);
    Ok(())
}
