//! The program is restarted while connections of the old process are in TIME_WAIT, or belong to a
//! child (UNP 7.5, SO_REUSEADDR).

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::Signal;

use super::harness::{END, Harness, NOTICE, ProgramUnderTest};
use super::{Fault, pair, server};
use crate::impairment::Matcher;
use crate::side::Side;
use tcpecho_os::tcp_state::TcpState;

trial! { SERVER, harness;
    name: "bind-in-use-by-time-wait",
    title: "the program is restarted at once",
    source: "UNP 7.5",
    question: "The program exits first, so its host keeps TIME_WAIT; or a child still serves a client. \
               Can it listen on the same port again?";

    step "a client's line is echoed; the program gets SIGTERM, then the client closes";
    let program = server::open(harness)?;
    let helpers = program.process.descendants()?;
    let client = server::customer(harness)?;
    claim_serves("the client's line is echoed", &client)?;
    let _ = program.process.signal(Signal::TERM);
    let fin = Matcher::fin().from_server();
    // A child may have kept the connection; then it closes second, and no TIME_WAIT stays.
    let _ = harness.delivered(&fin, 0, Duration::from_millis(500));
    harness.leaves(&client);
    ends(harness, &program, helpers);
    claim_or("no socket listens any more", Fault::InUse, has_closed(harness));
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
    claim_or("the program listens again", Fault::InUse, is_up(harness, &again));
    if !server::listens(harness) {
        return Ok(());
    };
    let helpers = again.process.descendants()?;
    let client = server::customer(harness)?;
    claim_serves("a line is echoed", &client)?;

    step "the client stays connected, and a child may serve it; the program gets SIGTERM and is started \
          once more";
    let _ = again.process.signal(Signal::TERM);
    ends(harness, &again, helpers);
    claim_or("no socket listens while the client is connected", Fault::InUse, has_closed(harness));
    let last = harness.start(Side::Server)?;
    claim_or("the program listens while the client is connected", Fault::InUse, is_up(harness, &last));
    claims "another client's line is echoed";
    if server::listens(harness) {
        harness.claim_serves_another("another client's line is echoed")?;
    };
    harness.leaves(&client);
}

/// Waits until the program has exited, or kills it, and the processes that it had before the first
/// client connected. Its children for clients stay.
fn ends(harness: &mut Harness, program: &ProgramUnderTest, helpers: Vec<OwnedFd>) {
    if program.process.wait(END).is_err() {
        harness.note("did not exit on SIGTERM and was killed");
    }
    pair::kill_all(program, helpers);
}

fn has_closed(harness: &Harness) -> bool {
    harness.comes(NOTICE, || !server::listens(harness))
}

fn is_up(harness: &Harness, program: &ProgramUnderTest) -> bool {
    let listens = || server::listens(harness);
    harness.comes(END, || listens() || program.process.exit().is_some()) && listens()
}
