//! A client sends and does not read (UNP 6.8, RFC 9293 3.8.6).

use std::time::Duration;

use super::{NOTICE, customer, open, served_within};
use crate::stage::{Played, Stage, count};
use crate::trial::Fault;

trial! {
    "zero-window", "a client does not read", "UNP 6.8, RFC 9293 3.8.6",
    "A client would send four megabytes and reads no reply. Does the program stop reading instead of growing, and is nothing lost?",
    "zero_window.rs"
}

const BYTES: usize = 4_000_000;
/// Far above what a bounded buffer needs, far below what is offered.
const GROWTH: u64 = 2 << 20;

fn play(stage: &mut Stage) -> Played {
    stage.step("a client sends as much of 4000000 bytes as is taken, and reads nothing; the kernels' buffers are small");
    stage.two().watch_states(false);
    stage.two().set_sysctl("net.ipv4.tcp_rmem", "4096 65536 65536")?;
    stage.two().set_sysctl("net.ipv4.tcp_wmem", "4096 65536 65536")?;
    stage.two().set_rto_min(Duration::from_millis(20))?;
    let stranger = open(stage)?;
    let first = customer(stage)?;
    stage.claim_serves("a line comes back", &stranger, &first)?;
    first.must("close")?;
    let before = stranger.program.memory();
    let client = customer(stage)?;
    let taken = count(&client.must(&format!("stuff {BYTES}"))?);
    let grown = stranger.program.memory().saturating_sub(before);
    stage.guest.conduct.memory_growth = Some(grown);
    stage.claim_or("the program's memory does not grow with what it cannot send", Fault::Grew, grown < GROWTH);

    stage.step("another client comes");
    let other = customer(stage)?;
    if served_within(stage, NOTICE, &other, "hello")?.is_some() {
        stage.note("serves nobody while one client does not read");
    }
    other.program().kill();

    stage.step("the first ends its half and reads");
    client.must("shutdown wr")?;
    stage.claim_comes_back("all that was taken comes back, then end of file", &stranger, &client, taken)?;
    stage.claim_runs("the program goes on", &stranger);
    Ok(())
}
