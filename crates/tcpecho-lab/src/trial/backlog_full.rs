//! The server's accept queue is full for a while (UNP 4.5).

use super::client;
use super::harness::END;
use crate::impairment::Matcher;
use crate::side::Side;

trial! { CLIENT, harness;
    name: "backlog-full",
    title: "the server's accept queue is full for a while",
    source: "UNP 4.5",
    question: "The first SYN is ignored, and the second is answered. Does the program wait for \
               it?";

    step "another client fills the queue of a server with backlog 0; the program connects, and its \
          SYN is ignored";
    let server = harness.stage.listening(0)?;
    server.must("sigpipe ignore")?;
    let _other = harness.stage.connected_client()?;
    harness.stage.wait_for_queue(1)?;
    let mark = harness.stage.two().timeline.mark();
    harness.decisive();
    let program = harness.start(Side::Client)?;
    if harness.delivered(&Matcher::syn(), mark, END).is_err() {
        return Err(harness.stuck("the program does not connect"));
    };
    claim_runs("the program waits until its SYN is answered", &program);

    step "the server accepts the other client, which makes room";
    harness.needs(&server, "accept")?;
    harness.needs(&server, "0: accept")?;
    program.types("one");
    program.ends_input();
    let said = client::echoed(harness, &server, 4)?;
    claim_echoed("the program's line arrives at the server", &said, 4);
    client::closes(harness, &server);
    claim_ends_well("the program exits with status 0", &program);
    claim_output("the program has written the line", &program, &["one"]);
}
