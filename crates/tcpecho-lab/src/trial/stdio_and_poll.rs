//! Two lines come at once (UNP 6.5).

use super::harness::{END, NOTICE};
use super::peer::arrived;
use super::{Fault, client, server};

trial! { CLIENT, harness;
    name: "stdio-and-poll",
    title: "two lines are typed at once",
    source: "UNP 6.5",
    question: "A program that waits with select and reads with stdio takes two lines and sends one. \
               Does this one send both without further input?";

    step "two lines are typed at once";
    let (program, server) = client::meet(harness)?;
    harness.decisive();
    let _ = program.process.write(b"one\ntwo\n");
    server.begin("echo 8")?;
    let both = harness.hears(&server, NOTICE);
    claim_or("the server receives both lines", Fault::Late, both.is_ok());

    step "another line is typed, and the input ends";
    program.types("three");
    program.ends_input();
    if both.is_err() && harness.hears(&server, END).is_err() {
        return Err(harness.stuck("the program does not send the second line"));
    };
    let said = client::echoed(harness, &server, 6)?;
    claim_echoed("the server receives the third line and echoes it", &said, 6);
    client::closes(harness, &server);
    claim_ends_well("the program exits with status 0", &program);
    claim_output("the program has written every line", &program, &["one", "two", "three"]);
}

// Two lines arrive in one segment (UNP 6.5).
trial! { SERVER, harness;
    name: "stdio-and-poll",
    title: "two lines arrive in one segment",
    source: "UNP 6.5",
    question: "Does the program echo both lines, or the second one only when more data comes?";

    step "a client sends two lines of 64 bytes in one call";
    let program = server::open(harness)?;
    let client = server::customer(harness)?;
    harness.decisive();
    harness.needs(&client, "send 128 lines")?;
    client.begin("drain 128")?;
    let both = harness.hears(&client, NOTICE);
    let fault = match &both {
        Err(_) => Some((Fault::Late, String::new())),
        Ok(said) if said == "ok 128 right" => None,
        Ok(said) if said.ends_with("changed") => Some((Fault::Invented, arrived(said, 128))),
        Ok(said) => Some((Fault::Lost, arrived(said, 128))),
    };
    claim_without("both lines are echoed", fault);

    step "the client closes, and another client connects";
    harness.leaves(&client);
    claim_serves_another("the client's line is echoed")?;
    claim_runs("the program still runs", &program);
}
