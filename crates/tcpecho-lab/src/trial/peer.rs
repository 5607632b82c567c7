//! The lab's own end of a connection with a program under test.
//!
//! A call of this end can fail or block because of what the program does: it closes early, resets
//! the connection, or does not answer. That is a fault of the program, and the lab does not wait
//! for it longer than for the program itself.

use std::time::Instant;

use tcpecho_os::errno;

use super::Fault;
use super::harness::{END, Harness, NOTICE, TURN};
use crate::agent::errno_of;
use crate::stage::{Agent, Broken};

/// The errors of a call that the peer causes.
const CAUSED_BY_THE_PEER: &[&str] =
    &["EPIPE", "ECONNRESET", "ENOTCONN", "ECONNREFUSED", "ETIMEDOUT"];

impl Harness {
    /// Makes a call of the lab's end that succeeds unless the program prevents it.
    ///
    /// # Errors
    /// The program has ended the connection, or the call does not return: the trial ends, and the
    /// fault is recorded.
    pub(super) fn needs(&mut self, agent: &Agent, line: &str) -> Result<String, Broken> {
        let answer = if is_free(agent) {
            agent.begin(line)?;
            self.hears(agent, END).ok()
        } else {
            None
        };
        let Some(answer) = answer else {
            return Err(self.stuck("the program does not answer, and the lab's end waits for it"));
        };
        if answer.starts_with("ok") {
            return Ok(answer);
        }
        if !CAUSED_BY_THE_PEER.contains(&answer.as_str()) {
            return Err(Broken::new(format!("{line}: {answer}")));
        }
        Err(if line.starts_with("connect ") {
            self.proved(Fault::Hung, "the program accepts no connection", &in_words(&answer))
        } else {
            self.proved(Fault::Lost, "the program ended the connection early", &in_words(&answer))
        })
    }

    /// Ends a trial that cannot continue, because of this fault.
    pub(super) fn proved(&mut self, fault: Fault, why: &str, seen: &str) -> Broken {
        let (fault, seen) = self.explained((fault, seen.into()));
        self.conduct.faults.push(fault);
        Broken::new(if seen.is_empty() { why.into() } else { format!("{why} ({fault}: {seen})") })
    }

    /// Closes the newest socket of the lab's end. If this end still waits in a call, its process is
    /// killed, and its kernel closes the socket.
    pub(super) fn leaves(&self, agent: &Agent) {
        let has_closed =
            is_free(agent) && agent.begin("close").is_ok() && self.hears(agent, NOTICE).is_ok();
        if !has_closed {
            agent.program().kill();
        }
    }
}

/// Whether the lab's end can make another call; takes the results that nobody waited for.
fn is_free(agent: &Agent) -> bool {
    let begun = Instant::now();
    while agent.is_waiting() {
        let is_over = || {
            let program = agent.program();
            program.is_blocked() || program.exit().is_some() || begun.elapsed() > NOTICE
        };
        if agent.next_answer(TURN).is_err() && is_over() {
            return false;
        }
    }
    true
}

/// The answer of a call that did not succeed as it should: `Broken pipe (EPIPE)`, `end of file`, or
/// what was received.
pub(super) fn in_words(answer: &str) -> String {
    if let Some(errno) = errno_of(answer) {
        return errno::words(errno);
    }
    match answer.strip_prefix("ok ").map(|said| said.split_once(' ').unwrap_or((said, ""))) {
        Some(("0", _)) => "end of file".into(),
        Some((_, text)) if !text.is_empty() => format!("\"{text}\""),
        _ => answer.into(),
    }
}

/// What arrived of a stream of this number of bytes, from the answer of `drain` or `echo`.
pub(super) fn arrived(answer: &str, bytes: usize) -> String {
    let Some(said) = answer.strip_prefix("ok ") else { return in_words(answer) };
    let (count, rest) = said.split_once(' ').unwrap_or((said, ""));
    let changed = if rest == "changed" { ", not those that were sent" } else { "" };
    format!("{count} of {bytes} bytes arrived{changed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_s_answer_is_said_in_words() {
        for (answer, words) in [
            ("EPIPE", "Broken pipe (EPIPE)"),
            ("ok 0", "end of file"),
            ("ok 6 HELLO\\n", "\"HELLO\\n\""),
            ("no answer", "no answer"),
        ] {
            assert_eq!(in_words(answer), words);
        }
        assert_eq!(arrived("ok 7 right", 9), "7 of 9 bytes arrived");
        assert_eq!(arrived("ok 9 changed", 9), "9 of 9 bytes arrived, not those that were sent");
        assert_eq!(arrived("ECONNRESET", 9), "Connection reset by peer (ECONNRESET)");
    }
}
