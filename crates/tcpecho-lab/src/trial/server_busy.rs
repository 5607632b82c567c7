//! An iterative server serves another client first (UNP 1.5, 4.8).

use std::time::Duration;

use super::client;
use crate::side::Side;

trial! { CLIENT, harness;
    name: "server-busy",
    title: "an iterative server serves another client first",
    source: "UNP 1.5, 4.8",
    question: "The program is connected, and nobody has accepted it yet. Does it wait for its reply, \
               although its input has ended?";

    step "an iterative server serves another client; the program connects, a line is typed, and the \
          input ends";
    let server = harness.stage.listening(10)?;
    server.must("sigpipe ignore")?;
    let other = harness.stage.joined(&server)?;
    server.begin("echo end")?;
    let mark = harness.stage.two().timeline.mark();
    let program = harness.start(Side::Client)?;
    program.types("one");
    program.ends_input();
    harness.sends_line(mark)?;
    harness.decisive();
    let gone = || program.process.exit().is_some();
    harness.comes(Duration::from_millis(1500), gone);
    claim_runs("the program waits for the reply", &program);

    step "the other client closes, and the server serves the program";
    harness.leaves(&other);
    server.outcome()?;
    harness.leaves(&server);
    harness.needs(&server, "0: accept")?;
    let said = client::echoed(harness, &server, 4)?;
    claim_echoed("the server receives the line and echoes it", &said, 4);
    client::closes(harness, &server);
    claim_ends_well("the program exits with status 0", &program);
    claim_output("the program has written the line", &program, &["one"]);
}
