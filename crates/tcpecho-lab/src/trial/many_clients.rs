//! Fifty clients connect and close, and the program must keep nothing of them.

use super::harness::Harness;
use super::{Fault, server};
use crate::stage::Broken;

trial! { SERVER, harness;
    name: "many-clients",
    group: Some(crate::text::Group::Queues),
    title: "fifty clients connect and close",
    source: "UNP 4.9, 5.9",
    question: "Does the program have more descriptors, zombies or sockets in CLOSE_WAIT than \
               before?";

    step "two clients connect and close, then the program's descriptors are counted";
    let program = server::open(harness)?;
    for _ in 0..2 {
        come_and_go(harness)?;
    };
    claim_no_close_wait("no socket is left in CLOSE_WAIT");
    claim_no_zombies("no zombie is left", &program);
    let before = server::settled(&program);

    step "fifty more clients connect and close";
    let mut unserved = None;
    for _ in 0..50 {
        unserved = unserved.or(come_and_go(harness)?);
    };
    claim_without("every client's line is echoed", unserved);
    claim_no_close_wait("no socket is left in CLOSE_WAIT after the fifty clients");
    claim_no_zombies("no zombie is left after the fifty clients", &program);
    claim_no_descriptors("the program has no more descriptors than before", &program, before);
    claim_runs("the program still runs", &program);
}

fn come_and_go(harness: &mut Harness) -> Result<Option<(Fault, String)>, Broken> {
    let client = server::customer(harness)?;
    let fault = server::served(harness, &client, "hello")?;
    harness.leaves(&client);
    Ok(fault)
}
