//! A client sends half a line and is silent (UNP 6.8).

use super::harness::END;
use super::server;

trial! { SERVER, harness;
    name: "half-a-line",
    title: "a client sends half a line and is silent",
    source: "UNP 6.8",
    question: "A client sends half a line. Does the program serve another client meanwhile, and echo \
               the first one's line when the rest has come?";

    step "two clients connect, and each sends a line";
    let program = server::open(harness)?;
    let first = server::customer(harness)?;
    claim_serves("the first client's line is echoed", &first)?;
    let second = server::customer(harness)?;
    let serves_both = harness.serves_both(&first, &second)?;

    step "the first client sends half a line, and the second one a whole line";
    harness.needs(&first, "send half")?;
    let waits = !serves_both || harness.keeps_waiting(&second)?;
    claim_no_stall(
        "a program that serves two clients at a time echoes the second client's line meanwhile",
        serves_both, waits,
    );

    step "the first client sends the rest";
    harness.needs(&first, "line  a line")?;
    first.begin("gets")?;
    let said = harness.hears(&first, END).unwrap_or_else(|_| server::NO_ANSWER.into());
    claim_line("the first client's whole line is echoed", &said, said == "ok 12 half a line\\n");

    step "the first client closes, and a third connects after the second has closed";
    harness.leaves(&first);
    // A client that closes before its reply has arrived answers it with RST.
    if waits {
        let _ = harness.hears(&second, END);
    };
    harness.leaves(&second);
    claim_serves_another("the third client's line is echoed")?;
    claim_runs("the program still runs", &program);
}
