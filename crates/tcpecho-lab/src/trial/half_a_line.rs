//! A client sends half a line and is silent (UNP 6.8).

use super::harness::{END, NOTICE};
use super::{Fault, server};

trial! { SERVER, harness;
    name: "half-a-line",
    title: "a client sends half a line and is silent",
    source: "UNP 6.8",
    question: "A client sends half a line. Does the program serve another client meanwhile, and the \
               first one's line when the rest has come?";

    step "a client sends half a line, and another one a whole line";
    let program = server::open(harness)?;
    let first = server::customer(harness)?;
    first.must("send half")?;
    let second = server::customer(harness)?;
    let waits = server::served_within(harness, NOTICE, &second, "hello")?.is_some();
    if waits {
        harness.note("serves no other client while one has sent half a line");
    };

    step "the first client sends the rest";
    first.must("line  a line")?;
    first.begin("gets")?;
    let said = harness.hears(&first, END).unwrap_or_else(|_| "no answer".into());
    claim_or("its whole line is echoed", Fault::Lost, said == "ok 12 half a line\\n");

    step "the first client closes, and a third connects after the second has closed";
    first.must("close")?;
    // A client that is killed before its reply has arrived answers it with RST.
    if waits && harness.hears(&second, END).is_err() {
        second.program().kill();
    } else {
        second.must("close")?;
    };
    claim_serves_another("the third client's line is echoed")?;
    claim_runs("the program still runs", &program);
}
