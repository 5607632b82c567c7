//! Trials of echo servers, and what they have in common.

use super::bad_path::{Sysctls, prepare};
use super::harness::{END, Harness, NOTICE, ProgramUnderTest};
use super::peer::{arrived, in_words};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Fault, NOT_LISTENING, USE_FAMILY};

use crate::glances::until;
use crate::impairment::Rule;
use crate::program::words;
use crate::side::{Family, Side};
use crate::stage::{Agent, Broken, PATIENCE, Played};
use tcpecho_os::sock_diag::TcpSocket;
use tcpecho_os::tcp_state::TcpState;

/// Starts the program; it listens when this returns.
pub(super) fn open(harness: &mut Harness) -> Result<ProgramUnderTest, Broken> {
    let mut program = harness.start(Side::Server)?;
    // A server that has several ports opens them together.
    let mut elsewhere: Option<Instant> = None;
    let is_over = || {
        let ports = listeners(harness);
        let since = (!ports.is_empty()).then(|| *elsewhere.get_or_insert_with(Instant::now));
        ports.contains(&harness.stage.port())
            || serves_the_other_family(harness)
            || program.process.exit().is_some()
            || since.is_some_and(|since| since.elapsed() > NOTICE)
    };
    if harness.comes(PATIENCE, is_over) && listens(harness) {
        program.children = program.process.children().len();
        Ok(program)
    } else {
        let end = program.process.exit().map_or("it still runs".into(), words);
        let port = harness.stage.port();
        if serves_the_other_family(harness) {
            let (family, digit) = match harness.stage.family() {
                Family::V4 => (Family::V6, 6),
                Family::V6 => (Family::V4, 4),
            };
            return Err(Broken::new(format!(
                "{NOT_LISTENING} on port {port} over {}: it listens on {family} {USE_FAMILY}{digit}",
                harness.stage.family()
            )));
        }
        let others = match Vec::from_iter(listeners(harness)).as_slice() {
            [] => String::new(),
            [other] => format!(", and listens on port {other}"),
            others => {
                let ports: Vec<String> = others.iter().map(ToString::to_string).collect();
                format!(", and listens on ports {}", ports.join(", "))
            }
        };
        Err(Broken::new(format!("{NOT_LISTENING} on port {port}: {end}{others}")))
    }
}

/// Whether a socket listens on the port, for this family or for both.
pub(super) fn listens(harness: &Harness) -> bool {
    listeners(harness).contains(&harness.stage.port())
}

/// Whether a socket has listened on the port for a moment, and none for this family. A program may
/// open a socket for each family, one after the other.
fn serves_the_other_family(harness: &Harness) -> bool {
    let only_there = || !listens(harness) && of_the_other(harness).contains(&harness.stage.port());
    only_there() && !until(BOTH_OPEN, || !only_there())
}

/// How long a program may take from its first listening socket to its second.
const BOTH_OPEN: Duration = Duration::from_millis(500);

/// The ports that accept connections of this family.
pub(super) fn listeners(harness: &Harness) -> BTreeSet<u16> {
    let takes_ours = |socket: &TcpSocket| match harness.stage.family() {
        Family::V4 => socket.local.is_ipv4() || is_for_both(socket),
        Family::V6 => socket.local.is_ipv6(),
    };
    ports(harness, takes_ours)
}

/// The ports that accept connections of the other family only.
fn of_the_other(harness: &Harness) -> BTreeSet<u16> {
    let takes_other = |socket: &TcpSocket| match harness.stage.family() {
        Family::V4 => socket.local.is_ipv6() && !is_for_both(socket),
        Family::V6 => socket.local.is_ipv4(),
    };
    ports(harness, takes_other)
}

/// Whether an IPv6 socket accepts IPv4, too: it is bound to `::` and not IPv6 only.
fn is_for_both(socket: &TcpSocket) -> bool {
    socket.local.ip().is_unspecified() && !socket.v6only
}

fn ports(harness: &Harness, wanted: impl Fn(&TcpSocket) -> bool) -> BTreeSet<u16> {
    let server = &harness.stage.two().server;
    let sockets = Family::BOTH.into_iter().flat_map(|family| server.sockets(family));
    let listening = sockets.filter(|socket| socket.state == TcpState::Listen && wanted(socket));
    listening.map(|socket| socket.local.port()).collect()
}

/// Starts a connected client of the lab.
pub(super) fn customer(harness: &mut Harness) -> Result<Agent, Broken> {
    let client = harness.stage.client()?;
    client.must("sigpipe ignore")?;
    harness.needs(&client, &harness.stage.connect_line())?;
    Ok(client)
}

/// The fault if a line of this client is not echoed.
pub(super) fn served(
    harness: &Harness,
    client: &Agent,
    line: &str,
) -> Result<Option<(Fault, String)>, Broken> {
    served_within(harness, END, client, line)
}

pub(super) fn served_within(
    harness: &Harness,
    patience: Duration,
    client: &Agent,
    line: &str,
) -> Result<Option<(Fault, String)>, Broken> {
    client.begin(&format!("line {line}"))?;
    let sent = harness.hears(client, patience).unwrap_or_else(|_| NO_ANSWER.into());
    if !sent.starts_with("ok") {
        return Ok(Some((Fault::Lost, format!("sending the line failed: {}", in_words(&sent)))));
    }
    client.begin("recv 1000")?;
    let Ok(said) = harness.hears(client, patience) else {
        return Ok(Some((Fault::Hung, "a line was not answered".into())));
    };
    let wanted = format!("ok {} {line}\\n", line.len() + 1);
    let instead = || format!("{} instead of \"{line}\\n\"", in_words(&said));
    Ok(match said.as_str() {
        said if said == wanted => None,
        said if said.starts_with("ok") && said != "ok 0" => Some((Fault::Invented, instead())),
        _ => Some((Fault::Lost, instead())),
    })
}

/// The number of its descriptors between two clients.
pub(super) fn settled(program: &ProgramUnderTest) -> usize {
    let mut least = program.process.descriptors();
    until(Duration::from_millis(200), || {
        least = least.min(program.process.descriptors());
        false
    });
    least
}

impl Harness {
    /// Claims that a line of this client is echoed.
    pub(super) fn claim_serves(&mut self, sentence: &str, client: &Agent) -> Played {
        let fault = served(self, client, "hello")?;
        self.claim_without(sentence, fault);
        Ok(())
    }

    /// Claims that a new client can connect and its line is echoed.
    pub(super) fn claim_serves_another(&mut self, sentence: &str) -> Played {
        let client = self.stage.client()?;
        client.must("sigpipe ignore")?;
        client.begin(&self.stage.connect_line())?;
        let said = self.hears(&client, END).unwrap_or_else(|_| NO_ANSWER.into());
        if said == "ok" {
            return self.claim_serves(sentence, &client);
        }
        let seen = format!("a client cannot connect: {}", in_words(&said));
        self.claim_without(sentence, Some((Fault::Hung, seen)));
        Ok(())
    }

    /// Whether it serves two clients at a time: the first one's line was echoed, and both are
    /// connected.
    pub(super) fn serves_both(&mut self, first: &Agent, second: &Agent) -> Result<bool, Broken> {
        Ok(!self.keeps_waiting(second)? && !self.keeps_waiting(first)?)
    }

    /// Whether one of two clients gets no answer to its line for a while, although the program keeps
    /// both connections open.
    ///
    /// # Errors
    /// The program answers something else or ends a connection; the fault is recorded.
    pub(super) fn keeps_waiting(&mut self, client: &Agent) -> Result<bool, Broken> {
        let Some((fault, seen)) = served_within(self, NOTICE, client, "hello")? else {
            return Ok(false);
        };
        let sockets = self.connections_of_any_family(Side::Client);
        let open = sockets.iter().filter(|socket| socket.state == TcpState::Established).count();
        if fault == Fault::Hung && open == 2 {
            return Ok(true);
        }
        Err(self.proved(fault, "the line of one of two clients is not echoed", &seen))
    }

    /// Claims that one client does not keep another one waiting. A program that serves one client at
    /// a time always does; that is a remark. One that serves two at a time must not.
    pub(super) fn claim_no_stall(&mut self, sentence: &str, serves_both: bool, waits: bool) {
        if !serves_both {
            self.note(ONE_AT_A_TIME);
        }
        self.claim_or(sentence, Fault::Stalls, !(serves_both && waits));
    }

    /// Claims that what this end has received, an agent's answer, is the line that was sent.
    pub(super) fn claim_line(&mut self, sentence: &str, said: &str, is_the_line: bool) {
        let fault = match said {
            _ if is_the_line => None,
            NO_ANSWER => Some(Fault::Hung),
            said if said.starts_with("ok") && said != "ok 0" => Some(Fault::Invented),
            _ => Some(Fault::Lost),
        };
        self.claim_without(sentence, fault.map(|fault| (fault, in_words(said))));
    }

    /// Claims that no zombie is left once the children of closed connections have exited.
    pub(super) fn claim_no_zombies(&mut self, sentence: &str, program: &ProgramUnderTest) {
        let process = &program.process;
        let extra = || process.children().len().saturating_sub(program.children);
        self.comes(END, || extra() <= process.zombies());
        until(NOTICE, || process.zombies() == 0);
        let zombies = process.zombies();
        self.conduct.zombies = Some(zombies);
        self.claim_without(
            sentence,
            (zombies > 0).then(|| (Fault::Zombies, format!("{zombies} left"))),
        );
    }

    /// Claims that no socket waits for the program to close, after all clients have closed.
    pub(super) fn claim_no_close_wait(&mut self, sentence: &str) {
        let mut left = Vec::new();
        self.comes(END, || {
            left = self.connections_of_any_family(Side::Server);
            left.iter().all(|socket| socket.state == TcpState::TimeWait)
        });
        let left = left.iter().filter(|socket| socket.state == TcpState::CloseWait).count();
        self.conduct.close_wait = Some(left);
        self.claim_without(
            sentence,
            (left > 0).then(|| (Fault::CloseWait, format!("{left} left"))),
        );
    }

    /// Claims that it has no more descriptors than before.
    pub(super) fn claim_no_descriptors(
        &mut self,
        sentence: &str,
        program: &ProgramUnderTest,
        before: usize,
    ) {
        self.comes(END, || program.process.descriptors() <= before);
        let more = program.process.descriptors().saturating_sub(before);
        self.conduct.leaked_descriptors = Some(more);
        self.claim_without(sentence, (more > 0).then(|| (Fault::Leaked, format!("{more} more"))));
    }

    /// Claims that this client receives exactly what it sent, up to the end of the stream.
    pub(super) fn claim_comes_back(
        &mut self,
        sentence: &str,
        client: &Agent,
        bytes: usize,
    ) -> Played {
        client.begin("drain end")?;
        let said = self.hears(client, END);
        let wanted = format!("ok {bytes} right");
        let fault = match said {
            Ok(said) if said == wanted => None,
            Ok(said) if said.ends_with("changed") => Some((Fault::Invented, arrived(&said, bytes))),
            Ok(said) => Some((Fault::Lost, arrived(&said, bytes))),
            Err(_) => Some((Fault::Hung, "the end of file did not arrive".into())),
        };
        self.claim_without(sentence, fault);
        Ok(())
    }
}

/// The result of a call that did not return.
pub(super) const NO_ANSWER: &str = "no answer";

/// The remark about an iterative server.
pub(super) const ONE_AT_A_TIME: &str = "serves one client at a time";

/// The claims of [`twenty_kilobytes`].
pub(super) const THROUGH: &[&str] =
    &["all bytes are echoed, in order, once", "the program still runs"];

/// 20000 bytes are echoed over a wire with these rules.
pub(super) fn twenty_kilobytes(
    harness: &mut Harness,
    rules: Vec<Rule>,
    sysctls: &Sysctls,
) -> Played {
    prepare(harness, sysctls)?;
    let program = open(harness)?;
    let client = customer(harness)?;
    harness.stage.wire_rules(rules);
    harness.needs(&client, "send 20000 lines")?;
    harness.needs(&client, "shutdown wr")?;
    harness.claim_comes_back("all bytes are echoed, in order, once", &client, 20_000)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
