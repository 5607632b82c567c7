//! Urgent data comes between other data (UNP 24.2, RFC 6093).

use super::harness::END;
use super::{Fault, client, server};
use tcpecho_os::process::Exit;

trial! { CLIENT, harness;
    name: "urgent-data",
    title: "urgent data arrives in the middle of a reply",
    source: "UNP 24.2, RFC 6093",
    question: "A byte that was sent with MSG_OOB arrives in the middle of a reply. Does the program \
               write the rest of the reply, with or without that byte?";

    step "a line is typed, and the server sends it back with an urgent byte in the middle";
    let (program, server) = client::meet(harness)?;
    program.types("one");
    program.ends_input();
    server.begin("recv 4")?;
    if harness.hears(&server, END).is_err() {
        return Err(harness.stuck("the program does not send the line"));
    };
    harness.decisive();
    harness.needs(&server, "send on")?;
    harness.needs(&server, "urgent !")?;
    harness.needs(&server, "line e")?;
    client::closes(harness, &server);
    // One that compares the echo with what was typed reports a difference, rightly.
    claim_ends("the program exits by itself", &program);
    let written = program.written();
    if written.starts_with("on!") {
        harness.note("writes the urgent byte with the others");
    };
    // A program that reports a difference need not write what follows it.
    let reports = program.process.exit() != Some(Exit::Exited(0));
    let part = reports && "on!e".starts_with(written.trim_end());
    let whole = ["one\n", "on!e\n"].contains(&written.as_str());
    claim_or(
        "the program has written the line, with or without the urgent byte, or reports a difference",
        Fault::Lost, whole || part,
    );
}

// A client sends urgent data (UNP 24.2, RFC 6093).
trial! { SERVER, harness;
    name: "urgent-data",
    title: "a client sends urgent data",
    source: "UNP 24.2, RFC 6093",
    question: "A client sends a byte with MSG_OOB in the middle of a line. Is the line echoed, with or \
               without that byte, and does the program go on?";

    step "a client sends a line with an urgent byte in the middle";
    let program = server::open(harness)?;
    let client = server::customer(harness)?;
    harness.needs(&client, "send on")?;
    harness.needs(&client, "urgent !")?;
    harness.decisive();
    harness.needs(&client, "line e")?;
    client.begin("gets")?;
    let said = harness.hears(&client, END).unwrap_or_else(|_| server::NO_ANSWER.into());
    let (with, without) = (said == "ok 5 on!e\\n", said == "ok 4 one\\n");
    if with {
        harness.note("echoes the urgent byte with the others");
    };
    claim_line(
        "the line is echoed, with or without the urgent byte", &said, with || without,
    );

    step "the client closes, and another one connects";
    harness.leaves(&client);
    claim_serves_another("the client's line is echoed")?;
    claim_runs("the program still runs", &program);
}
