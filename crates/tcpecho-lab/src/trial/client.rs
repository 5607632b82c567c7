//! Trials of line clients, and what they have in common.

use std::fmt::Write as _;
use std::time::Duration;

use super::Fault;
use super::bad_path::{Sysctls, prepare};
use super::harness::{END, Harness, ProgramUnderTest};
use super::peer::{arrived, in_words};
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Agent, Broken, PATIENCE, Played};

/// Starts a server of the lab, then the program, and waits until it has connected.
pub(super) fn meet(harness: &mut Harness) -> Result<(ProgramUnderTest, Agent), Broken> {
    let server = harness.stage.listening(10)?;
    server.must("sigpipe ignore")?;
    let program = harness.start(Side::Client)?;
    server.begin("accept")?;
    if harness.hears(&server, END).is_err() {
        return Err(harness.stuck("the program does not connect"));
    }
    Ok((program, server))
}

/// Types a line and echoes it; when this returns, the program has read it.
pub(super) fn exchange(
    harness: &mut Harness,
    program: &ProgramUnderTest,
    server: &Agent,
    line: &str,
) -> Played {
    let mark = harness.stage.two().timeline.mark();
    program.types(line);
    answer(harness, server, line)?;
    harness.delivered(&Matcher::data().from_server(), mark, PATIENCE)?;
    if harness.wait_until_read(Side::Client).is_err() {
        return Err(harness.stuck("the program does not read the reply before it gets more input"));
    }
    harness.wait_until_acknowledged()
}

/// The server receives the line and sends it back.
pub(super) fn answer(harness: &mut Harness, server: &Agent, line: &str) -> Played {
    let length = line.len() + 1;
    let said = echoed(harness, server, length)?;
    if said == format!("ok {length}") {
        Ok(())
    } else {
        Err(harness
            .stuck(&format!("the program does not send the line {line:?}: {}", in_words(&said))))
    }
}

/// The result of an echo that did not end.
pub(super) const NOTHING_CAME: &str = "incomplete";

/// Echoes this number of bytes and returns the result.
pub(super) fn echoed(harness: &Harness, server: &Agent, bytes: usize) -> Result<String, Broken> {
    server.begin(&format!("echo {bytes}"))?;
    let said = harness.hears(server, END);
    Ok(said.unwrap_or_else(|_| NOTHING_CAME.into()))
}

/// How long the lab waits for the program's FIN when the input has ended. A program that sends it
/// only after the last reply, or only after the server's FIN, is not worse.
pub(super) const FIN_FIRST: Duration = Duration::from_secs(1);

/// Closes the server's connection after the program's FIN: on a busy machine the program may see
/// the end of its input later than the last reply, and must not take our FIN for an early one.
pub(super) fn closes(harness: &Harness, server: &Agent) {
    // Without a FIN the server closes first.
    let _ = harness.delivered(&Matcher::fin().from_client(), 0, FIN_FIRST);
    harness.leaves(server);
}

impl Harness {
    /// Waits until a line that was typed arrives at the server.
    ///
    /// # Errors
    /// The program does not send it.
    pub(super) fn sends_line(&mut self, mark: usize) -> Played {
        match self.delivered(&Matcher::data().from_client(), mark, END) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.stuck("the program does not send the line")),
        }
    }

    /// Claims that the server received this number of bytes from the program and could send them
    /// back.
    pub(super) fn claim_echoed(&mut self, sentence: &str, said: &str, bytes: usize) {
        let hangs = said == NOTHING_CAME && !self.has_exited();
        let fault = if hangs { Fault::Hung } else { Fault::Lost };
        let wrong = said != format!("ok {bytes}");
        let seen = || match said {
            NOTHING_CAME => format!("the server did not receive {bytes} bytes"),
            said => arrived(said, bytes),
        };
        self.claim_without(sentence, wrong.then(|| (fault, seen())));
    }
}

/// This number of lines of 1000 bytes, newline included, all different.
pub(super) fn many_lines(count: usize) -> Vec<String> {
    let line = |number: usize| {
        let mut line = String::new();
        while line.len() < 999 {
            let _ = write!(line, "{number:06} ");
        }
        line.truncate(999);
        line
    };
    (0..count).map(line).collect()
}

/// The claims of [`twenty_lines`].
pub(super) const THROUGH: &[&str] = &[
    "the server received everything and echoed it",
    "the program exits with status 0",
    "the program has written every line, in order, once",
];

/// Twenty lines are echoed over a wire with these rules.
pub(super) fn twenty_lines(harness: &mut Harness, rules: Vec<Rule>, sysctls: &Sysctls) -> Played {
    prepare(harness, sysctls)?;
    let (program, server) = meet(harness)?;
    harness.stage.wire_rules(rules);
    let lines = many_lines(20);
    for line in &lines {
        program.types(line);
    }
    program.ends_input();
    let said = echoed(harness, &server, 20_000)?;
    closes(harness, &server);
    harness.claim_echoed("the server received everything and echoed it", &said, 20_000);
    harness.claim_ends_well("the program exits with status 0", &program);
    harness.claim_output("the program has written every line, in order, once", &program, &lines);
    Ok(())
}
