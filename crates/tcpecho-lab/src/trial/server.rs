//! Trials of echo servers, and what they have in common.

use super::bad_path::{Sysctls, prepare};
use super::harness::{END, Harness, NOTICE, ProgramUnderTest};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Fault, NOT_LISTENING};

use crate::glances::until;
use crate::impairment::Rule;
use crate::program::words;
use crate::side::{Family, Side};
use crate::stage::{Agent, Broken, PATIENCE, Played};
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
            || program.process.exit().is_some()
            || since.is_some_and(|since| since.elapsed() > NOTICE)
    };
    if harness.comes(PATIENCE, is_over) && listens(harness) {
        program.children = program.process.children().len();
        Ok(program)
    } else {
        let end = program.process.exit().map_or("it still runs".into(), words);
        let port = harness.stage.port();
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

/// The ports that it listens on.
pub(super) fn listeners(harness: &Harness) -> BTreeSet<u16> {
    let families: &[Family] = match harness.stage.family() {
        Family::V4 => &Family::BOTH,
        Family::V6 => &[Family::V6],
    };
    let sockets = families.iter().flat_map(|family| harness.stage.two().server.sockets(*family));
    let listening = sockets.filter(|socket| socket.state == TcpState::Listen);
    listening.map(|socket| socket.local.port()).collect()
}

/// Starts a connected client of the lab.
pub(super) fn customer(harness: &Harness) -> Result<Agent, Broken> {
    let client = harness.stage.client()?;
    client.must("sigpipe ignore")?;
    client.must(&harness.stage.connect_line())?;
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
    let sent = client.call(&format!("line {line}"))?;
    if !sent.starts_with("ok") {
        return Ok(Some((Fault::Lost, format!("sending the line: {sent}"))));
    }
    client.begin("recv 1000")?;
    let Ok(said) = harness.hears(client, patience) else {
        return Ok(Some((Fault::Hung, "no answer".into())));
    };
    let wanted = format!("ok {} {line}\\n", line.len() + 1);
    Ok(match said.as_str() {
        said if said == wanted => None,
        said if said.starts_with("ok") && said != "ok 0" => Some((Fault::Invented, said.into())),
        said => Some((Fault::Lost, format!("instead of the line: {said}"))),
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
        let said = self.hears(&client, END).unwrap_or_else(|_| "no answer".into());
        if said == "ok" {
            return self.claim_serves(sentence, &client);
        }
        self.claim_without(sentence, Some((Fault::Hung, format!("connecting: {said}"))));
        Ok(())
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
            Ok(said) if said.ends_with("changed") => Some((Fault::Invented, said)),
            Ok(said) => Some((Fault::Lost, said)),
            Err(_) => Some((Fault::Hung, "no end of file".into())),
        };
        self.claim_without(sentence, fault);
        Ok(())
    }
}

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
    client.must("send 20000 lines")?;
    client.must("shutdown wr")?;
    harness.claim_comes_back("all bytes are echoed, in order, once", &client, 20_000)?;
    harness.claim_runs("the program still runs", &program);
    Ok(())
}
