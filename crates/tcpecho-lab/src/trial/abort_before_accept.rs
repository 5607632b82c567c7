//! A connection is reset while it waits in the accept queue (UNP 5.11).

use super::server;
use crate::impairment::Matcher;
use crate::stage::PATIENCE;

trial! { SERVER, harness;
    name: "abort-before-accept",
    title: "a client resets its connection before the server accepts it",
    source: "UNP 5.11",
    question: "Linux returns a connection from accept that has already been reset. Does the \
               program survive that and serve the next client?";

    step "the program is stopped; one client resets its connection at once, another after it has \
          sent a line";
    let program = server::open(harness)?;
    program.process.stop()?;
    for line in [None, Some("line hello")] {
        let client = server::customer(harness)?;
        let mark = harness.stage.two().timeline.mark();
        if let Some(line) = line {
            harness.needs(&client, line)?;
            harness.delivered(&Matcher::data().from_client(), mark, PATIENCE)?;
        }
        harness.needs(&client, "setsockopt linger 0")?;
        harness.leaves(&client);
        harness.delivered(&Matcher::rst().from_client(), mark, PATIENCE)?;
    };

    step "the program continues, and a third client connects";
    program.process.go_on()?;
    claim_serves_another("the client's line is echoed")?;
    claim_runs("the program still runs", &program);
    claim_no_zombies("no zombie is left", &program);
}
