//! The program is restarted while connections of the old process are in TIME_WAIT (UNP 7.5, SO_REUSEADDR).

use std::time::Duration;

use rustix::process::Signal;

use super::harness::{END, NOTICE};
use super::{Fault, server};
use crate::impairment::Matcher;
use crate::side::Side;
use crate::stage::PATIENCE;
use tcpecho_os::tcp_state::TcpState;

trial! { SERVER, harness;
    name: "bind-in-use-by-time-wait",
    title: "the program is restarted at once",
    source: "UNP 7.5",
    question: "The program exits first, so its host keeps TIME_WAIT. Can it listen on the same \
               port again?";

    step "a client's line is echoed; the program gets SIGTERM, then the client closes";
    let program = server::open(harness)?;
    let client = server::customer(harness)?;
    claim_serves("the client's line is echoed", &client)?;
    let _ = program.process.signal(Signal::TERM);
    let fin = Matcher::fin().from_server();
    // A child may have kept the connection; then it closes second, and no TIME_WAIT stays.
    let _ = harness.delivered(&fin, 0, Duration::from_millis(500));
    client.must("close")?;
    if program.process.wait(END).is_err() {
        program.process.kill();
        harness.note("did not exit on SIGTERM and was killed");
    };
    let closed = harness.comes(PATIENCE, || !server::listens(harness));
    claim("no socket listens any more", closed);
    // A connection that the client closed first is gone as soon as the last process closes it.
    harness.comes(NOTICE, || {
        let left = harness.connections_of_any_family(Side::Server);
        left.iter().all(|socket| socket.state == TcpState::TimeWait)
    });
    if harness.connections_of_any_family(Side::Server).is_empty() {
        harness.note("left no connection in TIME_WAIT");
    };

    step "the program is started again";
    let again = harness.start(Side::Server)?;
    let up = harness.comes(END, || server::listens(harness) || again.process.exit().is_some());
    claim_or("the program listens again", Fault::InUse, up && server::listens(harness));
    claims "a line is echoed";
    if server::listens(harness) {
        harness.claim_serves_another("a line is echoed")?;
    };
}
