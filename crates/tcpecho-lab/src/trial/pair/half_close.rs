//! The input ends while replies are owed (UNP 6.6).

use super::{END, many_lines, meet};
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::trial::Fault;
use std::time::Duration;

trial! {
    "half-close", "the client's input ends while replies are owed", "UNP 6.6",
    "Much is typed and the input ends before the first reply arrives. Does every reply come out, and do both ends learn of the end?",
    "half_close.rs"
}

/// How long the replies wait for FIN; a client that sends it only after them is no worse.
const FIN_FIRST: Duration = Duration::from_secs(1);

fn play(stage: &mut Stage) -> Played {
    stage.step("ten lines of 1000 bytes are typed and the input ends; the wire keeps every reply");
    stage.two().watch_states(false);
    // What is kept is not sent again: a copy that comes when all is over would be answered with RST.
    stage.two().set_rto_min(Duration::from_secs(10))?;
    stage.two().set_sysctl("net.ipv4.tcp_early_retrans", "0")?;
    let pair = meet(stage)?;
    let replies = [Matcher::data().from_server(), Matcher::fin().from_server()];
    let rules = replies.map(|reply| stage.two().wire.add(Rule::hold(reply)));
    // No more than a kernel sends before the first acknowledgement, which the replies carry.
    let lines = many_lines(10);
    for line in &lines {
        pair.client.types(line);
    }
    stage.decisive();
    pair.client.ends_input();
    if stage.delivered(&Matcher::fin().from_client(), 0, FIN_FIRST).is_err() {
        stage.note("the client sends no FIN before it has every reply");
    }

    stage.step("the wire lets the replies go on");
    let all: usize = lines.iter().map(|line| line.len() + 1).sum();
    // Else what comes last would overtake, and the kernel send the others again.
    stage.comes(END, || {
        let held = stage.two().wire.held();
        pair.server.program.exit().is_some()
            || held.iter().map(|held| held.packet.payload().len()).sum::<usize>() >= all
    });
    let kept = Matcher::any_tcp().from_server();
    stage.two().wire.release_all(&kept);
    for rule in rules {
        stage.two().wire.remove(rule);
    }
    stage.two().wire.release_all(&kept);
    stage.claim_closes("the client says that it is done: FIN", Side::Client, Fault::Hung);
    stage.claim_closes("the server closes too: FIN", Side::Server, Fault::CloseWait);
    stage.claim_ends_well("the client ends with status 0", &pair.client);
    stage.claim_output("every line came back", &pair.client, &lines);
    stage.claim("nobody sent RST", stage.count(&Matcher::rst()) == 0);
    stage.claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    stage.claim_runs("the server goes on", &pair.server);
    Ok(())
}
