//! A client closes, and the child that served it, if there is one, exits (UNP 5.8).

use super::server;

trial! { SERVER, harness;
    name: "zombies-without-handler",
    title: "a client's child exits",
    source: "UNP 5.8",
    question: "If the program has a child for each client, does it wait for those that have \
               exited?";

    step "two clients connect and close, one after the other";
    let program = server::open(harness)?;
    let mut childless = true;
    claims "the client's line is echoed", "the client's connection is closed at the server";
    for _ in 0..2 {
        let client = server::customer(harness)?;
        harness.claim_serves("the client's line is echoed", &client)?;
        childless &= program.process.children().is_empty();
        harness.leaves(&client);
        harness.claim_no_close_wait("the client's connection is closed at the server");
    };
    if childless {
        harness.note("has no child for a client");
    };
    claim_no_zombies("no zombie is left", &program);
}
