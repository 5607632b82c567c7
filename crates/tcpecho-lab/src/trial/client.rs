//! What line clients go through, and the words for it.

use std::fmt::Write as _;

use std::time::Duration;

use super::Fault;
use super::harness::{END, Harness, NOTICE, ProgramUnderTest};
use crate::impairment::{Matcher, Rule};
use crate::side::Side;
use crate::stage::{Actor, Broken, PATIENCE, Played};

table! {
    normal_startup
    normal_termination
    server_process_killed
    server_process_killed_unread
    sigpipe
    server_host_crashes
    unreachable_during_connect
    prohibited_during_connect
    unreachable_while_established
    crash_and_reboot
    operator_shutdown
    refused
    syn_dropped
    backlog_full
    abort_on_overflow
    half_close
    close_with_unread_data
    ;
    segments::client
    ;
    zero_window
    mtu_black_hole
    fragmentation_needed
    middlebox_forgets_silently
    middlebox_forgets_with_reset
    short_counts
}

/// A server of ours listens, the program is started and connects.
fn meet(harness: &mut Harness) -> Result<(ProgramUnderTest, Actor), Broken> {
    let server = harness.stage.listening(10)?;
    server.must("sigpipe ignore")?;
    let program = harness.start(Side::Client)?;
    server.begin("accept")?;
    if harness.hears(&server, END).is_err() {
        return Err(harness.stuck("the program does not connect"));
    }
    Ok((program, server))
}

/// A line goes there and back; when this returns, the program has read it.
fn exchange(
    harness: &mut Harness,
    program: &ProgramUnderTest,
    server: &Actor,
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

/// The server gets the line and sends it back.
fn answer(harness: &mut Harness, server: &Actor, line: &str) -> Played {
    let length = line.len() + 1;
    let said = echoed(harness, server, length)?;
    if said == format!("ok {length}") {
        Ok(())
    } else {
        Err(harness.stuck(&format!("the program does not send the line {line:?}: {said}")))
    }
}

/// What is said if echoing never came to an end.
const NOTHING_CAME: &str = "not all of it came";

/// What echoing so many bytes came to.
fn echoed(harness: &Harness, server: &Actor, bytes: usize) -> Result<String, Broken> {
    server.begin(&format!("echo {bytes}"))?;
    let said = harness.hears(server, END);
    Ok(said.unwrap_or_else(|_| NOTHING_CAME.into()))
}

impl Harness {
    /// The server got so many bytes from the program and could send them back.
    fn claim_echoed(&mut self, sentence: &str, said: &str, bytes: usize) {
        let fault = if said == NOTHING_CAME { Fault::Hung } else { Fault::Lost };
        let wrong = said != format!("ok {bytes}");
        self.claim_without(sentence, wrong.then(|| (fault, said.to_string())));
    }
}

/// So many lines of 1000 bytes, newline included, all different.
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

/// Twenty lines go there and back over a wire that does this to them; tells what the echo came to.
fn through(
    harness: &mut Harness,
    rules: Vec<Rule>,
) -> Result<(ProgramUnderTest, Vec<String>, String), Broken> {
    // With many packets, looking at states after each is what takes the time.
    harness.stage.two().watch_states(false);
    harness.stage.two().set_rto_min(Duration::from_millis(20))?;
    // Whoever has closed still has much to send; 0 means 8.
    harness.stage.two().set_sysctl("net.ipv4.tcp_orphan_retries", "0")?;
    let (program, server) = meet(harness)?;
    for rule in rules {
        harness.stage.wire_rule(rule);
    }
    let lines = many_lines(20);
    for line in &lines {
        program.types(line);
    }
    program.ends_input();
    let said = echoed(harness, &server, 20_000)?;
    server.call("close")?;
    Ok((program, lines, said))
}

/// The claims of [`twenty_lines`].
pub(super) const THROUGH: &[&str] = &[
    "the server received everything and echoed it",
    "the program exits with status 0",
    "the program has written every line, in order, once",
];

/// Twenty lines go there and back over a wire that does this to them.
pub(super) fn twenty_lines(harness: &mut Harness, rules: Vec<Rule>) -> Played {
    let (program, lines, said) = through(harness, rules)?;
    harness.claim_echoed("the server received everything and echoed it", &said, 20000);
    harness.claim_ends_well("the program exits with status 0", &program);
    harness.claim_output("the program has written every line, in order, once", &program, &lines);
    Ok(())
}
