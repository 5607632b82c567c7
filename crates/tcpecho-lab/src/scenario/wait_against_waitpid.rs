//! Five children exit, and one SIGCHLD is delivered (UNP 5.10).

use crate::stage::{Agent, Broken, PATIENCE, Stage};

scenario! { stage;
    name: "wait-against-waitpid",
    group: Some(Group::Signals),
    title: "five children exit at once",
    source: "UNP 5.10",
    question: "Why is it not enough to call wait once in the handler of SIGCHLD?",
    book: &[
        (
            "Unix signals are not queued: when five children exit at the same time, the handler \
             may run once or a few times, so wait leaves zombies, and their number depends on \
             timing. A loop around waitpid with WNOHANG leaves none.",
            &[Book("5.10")],
        ),
    ],
    kernel: &[
        (
            "The same. Here the server is stopped while the children exit, so the result does not \
             depend on timing: one of five SIGCHLDs is delivered, and wait leaves four zombies.",
            &[
                Man("signal(7)"),
                Measured("the handler that calls wait has run once"),
                Measured("four zombies are left"),
                Measured("no zombie is left"),
            ],
        ),
    ];

    step "a server with five children calls wait once for each SIGCHLD; it is stopped, and its \
          client exits";
    let (server, zombies) = five_end_at_once(stage, "wait")?;
    claim_is("all five children are zombies", &zombies, "5");

    step "the server continues";
    server.program().go_on()?;
    claim_is("the handler that calls wait has run once", &server.call("caught")?, "ok 1");
    claim_is("four zombies are left", &server.program().zombies().to_string(), "4");
    claim("the server can still reap the zombies itself", server.must("wait")? != "ok 0");
    server.end()?;

    step "another server calls waitpid in a loop; it is stopped, and its client exits";
    let (server, zombies) = five_end_at_once(stage, "waitpid-loop")?;
    claim_is("all five children are zombies again", &zombies, "5");

    step "this server continues";
    server.program().go_on()?;
    claim_is("the handler that calls waitpid in a loop has run once, too", &server.call("caught")?, "ok 1");
    claim_is("no zombie is left", &server.program().zombies().to_string(), "0");
    claim_is("no child is left to wait for", &server.call("wait")?, "ECHILD");
}

/// A stopped server whose five children have exited, and the number of zombies among them.
fn five_end_at_once(stage: &Stage, handler: &str) -> Result<(Agent, String), Broken> {
    let (client, server) = stage.forked(5)?;
    server.must(&format!("handler SIGCHLD {handler}"))?;
    server.program().stop()?;
    client.end()?;
    server.program().wait_for_zombies(5, PATIENCE)?;
    let zombies = server.program().zombies().to_string();
    Ok((server, zombies))
}
