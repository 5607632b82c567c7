//! Trials of a client and a server together, and what they have in common. There is no agent: only
//! the keyboard, the hosts and the wire act.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use super::Fault;
use super::bad_path::{Sysctls, prepare};
use super::client::many_lines;
use super::harness::{END, Harness, ProgramUnderTest};
use super::server::open;
use crate::glances::until;
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Broken, Played};
use crate::timeline::{Place, What};
use tcpecho_os::tcp_state::TcpState;

/// A client and a server under test.
pub(super) struct Pair {
    pub(super) client: ProgramUnderTest,
    pub(super) server: ProgramUnderTest,
}

/// Starts the server, waits until it listens, starts the client, and waits until it has connected.
pub(super) fn meet(harness: &mut Harness) -> Result<Pair, Broken> {
    let server = open(harness)?;
    let client = harness.start(Side::Client)?;
    let connected = || {
        let sockets = harness.stage.connections(Side::Client, harness.stage.port());
        sockets.iter().any(|socket| socket.state == TcpState::Established)
    };
    if harness.comes(END, || connected() || client.process.exit().is_some()) && connected() {
        Ok(Pair { client, server })
    } else {
        Err(harness.stuck("the client does not connect"))
    }
}

/// Types a line and waits for the echo; when this returns, the client has read it.
pub(super) fn exchange(harness: &mut Harness, pair: &Pair, line: &str) -> Played {
    let mark = harness.stage.two().timeline.mark();
    pair.client.types(line);
    let there = Matcher::data().from_client().containing(line);
    if harness.delivered(&there, mark, END).is_err() {
        return Err(harness.stuck(&format!("the client does not send the line {line:?}")));
    }
    let back = Matcher::data().from_server().containing(line);
    if harness.delivered(&back, mark, END).is_err() {
        return Err(harness.stuck(&format!("the server does not send the line {line:?} back")));
    }
    if harness.wait_until_read(Side::Client).is_err() {
        return Err(harness.stuck("the client does not read the reply before it gets more input"));
    }
    harness.wait_until_acknowledged()
}

/// Kills the server's process and its descendants (`Program::descendants`): one of those may hold
/// the connection.
pub(super) fn kill_all(server: &ProgramUnderTest, descendants: Vec<OwnedFd>) {
    server.process.kill();
    for descendant in descendants {
        // A descendant that has exited meanwhile need not be killed.
        let _ = pidfd_send_signal(&descendant, Signal::KILL);
    }
}

impl Harness {
    /// Claims that this end has an ESTABLISHED connection.
    pub(super) fn claim_established(&mut self, sentence: &str, side: Side) {
        let established = self.comes(END, || {
            let sockets = self.connections_of_any_family(side);
            sockets.iter().any(|socket| socket.state == TcpState::Established)
        });
        self.claim_or(sentence, Fault::Hung, established);
    }

    /// Claims that this end sends FIN.
    pub(super) fn claim_closes(&mut self, sentence: &str, side: Side, fault: Fault) {
        let fin = self.delivered(&Matcher::fin().from(side), 0, END);
        self.claim_or(sentence, fault, fin.is_ok());
    }

    /// Claims that at most one end keeps TIME_WAIT, and records which.
    pub(super) fn claim_time_wait(&mut self, sentence: &str) {
        let waits = |side| {
            let sockets = self.connections_of_any_family(side);
            sockets.iter().any(|socket| socket.state == TcpState::TimeWait)
        };
        // The final ACK may be in flight.
        until(Duration::from_secs(1), || Side::BOTH.into_iter().any(waits));
        let keepers: Vec<Side> = Side::BOTH.into_iter().filter(|side| waits(*side)).collect();
        self.claim(sentence, keepers.len() < 2);
        for side in &keepers {
            let timeline = &self.stage.two().timeline;
            timeline.record(Place::Host(*side), What::Step("keeps TIME_WAIT".into()));
        }
        self.note(match keepers.as_slice() {
            [] => "neither end keeps TIME_WAIT".into(),
            [side] => format!("the {side} keeps TIME_WAIT"),
            _ => "both ends keep TIME_WAIT".into(),
        });
    }
}

/// The claims of [`twenty_lines`].
pub(super) const THROUGH: &[&str] = &[
    "the client exits with status 0",
    "the client has written every line, in order, once",
    "the server leaves no socket in CLOSE_WAIT",
    "the server still runs",
];

/// Twenty lines are echoed over a wire with these rules.
pub(super) fn twenty_lines(harness: &mut Harness, rules: Vec<Rule>, sysctls: &Sysctls) -> Played {
    prepare(harness, sysctls)?;
    let pair = meet(harness)?;
    harness.stage.wire_rules(rules);
    let lines = many_lines(20);
    for line in &lines {
        pair.client.types(line);
    }
    pair.client.ends_input();
    harness.claim_ends_well("the client exits with status 0", &pair.client);
    harness.claim_output("the client has written every line, in order, once", &pair.client, &lines);
    harness.claim_no_close_wait("the server leaves no socket in CLOSE_WAIT");
    harness.claim_runs("the server still runs", &pair.server);
    Ok(())
}
