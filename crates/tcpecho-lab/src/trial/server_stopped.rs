//! The server's process is stopped for a while (UNP 4.5, signal(7)).

use std::time::Duration;

use super::client;

trial! { CLIENT, harness;
    name: "server-stopped",
    title: "the server's process is stopped for a while",
    source: "UNP 4.5, signal(7)",
    question: "A line is acknowledged, and no reply comes for a second and a half. Does the program \
               wait, and write the reply when it comes?";

    step "the server is stopped, and a line is typed";
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    let mark = harness.stage.two().timeline.mark();
    server.program().stop()?;
    harness.decisive();
    program.types("two");
    harness.sends_line(mark)?;
    let gone = || program.process.exit().is_some();
    harness.comes(Duration::from_millis(1500), gone);
    claim_runs("the program waits for the reply", &program);

    step "the server continues";
    server.program().go_on()?;
    program.ends_input();
    let said = client::echoed(harness, &server, 4)?;
    claim_echoed("the server receives the line and echoes it", &said, 4);
    client::closes(harness, &server);
    claim_ends_well("the program exits with status 0", &program);
    claim_output("the program has written both lines", &program, &["one", "two"]);
}
