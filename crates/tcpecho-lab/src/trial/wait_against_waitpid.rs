//! Five clients close at once: one SIGCHLD for five children (UNP 5.10).

use std::time::Duration;

use super::server;
use crate::glances::until;

trial! { SERVER, harness;
    name: "wait-against-waitpid",
    title: "five clients close at once",
    source: "UNP 5.10",
    question: "Five children exit while the program is stopped, and it gets one SIGCHLD. Does \
               it wait for all five?";

    step "five clients connect, and the first one's line is echoed";
    let program = server::open(harness)?;
    let clients = (0..CLIENTS).map(|_| server::customer(harness)).collect::<Result<Vec<_>, _>>()?;
    claim_serves("the first client's line is echoed", &clients[0])?;
    let process = &program.process;
    let children = process.children().len();
    if children > 0 {
        until(Duration::from_secs(2), || process.children().len() >= CLIENTS);
    };
    let children = process.children().len();

    step "the program is stopped while all five close, and continues";
    process.stop()?;
    for client in &clients {
        harness.leaves(client);
    };
    if children > 0 {
        until(Duration::from_secs(2), || process.zombies() >= children);
    };
    process.go_on()?;
    claim_no_zombies("no zombie is left", &program);
    claim_no_close_wait("no socket is left in CLOSE_WAIT");

    step "another client connects";
    claim_serves_another("the other client's line is echoed")?;
    claim_runs("the program still runs", &program);
}

const CLIENTS: usize = 5;
