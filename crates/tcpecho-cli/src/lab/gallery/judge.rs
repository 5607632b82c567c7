//! Judges a client by its output and its exit, without looking at anything else.

use std::time::Duration;

use tcpecho::internal::show_duration;
use tcpecho_lab::{
    Exit,
    trial::{Conduct, Fault},
};

use super::{
    client::{Seen, spaced_line},
    server::Session,
};

/// What every client gets on stdin: more than the ten bytes after which faults begin.
pub(super) const MESSAGE: &str = "alpha 1\nbravo 2\ncharlie 3\n";

/// How a shell exits if SIGPIPE killed its command.
const BROKEN_PIPE: i32 = 128 + 13;

/// Returns whether the client prints what comes back, which its run without a fault shows. The output of another client,
/// which for example prints "ok", is not compared.
pub(super) fn compares(echo: &Seen) -> bool {
    let first = MESSAGE.lines().next().unwrap_or_default();
    echo.exit != Some(Exit::Exited(0)) || String::from_utf8_lossy(&echo.stdout).contains(first)
}

/// What came back, as far as the client printed it.
enum Answer {
    Whole,
    /// The number of bytes.
    Part(usize),
    Other,
    /// The client prints something else.
    Unknown,
}

impl Answer {
    fn of(seen: &Seen, compares: bool) -> Self {
        let message = MESSAGE.as_bytes();
        match &seen.stdout[..] {
            _ if !compares => Answer::Unknown,
            output if output == message => Answer::Whole,
            output if message.starts_with(output) => Answer::Part(output.len()),
            _ => Answer::Other,
        }
    }
}

/// What is known of a client's connections to a row.
#[derive(Clone, Copy)]
pub(super) enum Connected<'a> {
    /// The last of them.
    Yes(&'a Session),
    /// There was none.
    Never,
    /// They are not counted, or not by family.
    Unknown,
}

/// A row of the gallery, for a client.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) row: &'a str,
    /// How the connection of a correct client ends.
    pub(super) ending: &'a str,
    /// Whether the client prints what comes back.
    pub(super) compares: bool,
    pub(super) deadline: Duration,
    pub(super) connected: Connected<'a>,
}

/// Returns the conduct of a client, and the claims that failed.
pub(super) fn judge(case: Case, seen: &Seen) -> (Conduct, Vec<String>) {
    let Case { row, ending, compares, deadline, connected } = case;
    let must_succeed = ending == "finished";
    let answer = Answer::of(seen, compares);
    let mut conduct = Conduct {
        exit: seen.exit,
        ended_by_lab: seen.exit.is_none(),
        said: seen.said(),
        last_output: last_line(&seen.stdout),
        last_error: last_line(&seen.stderr),
        ..Conduct::default()
    };
    let of = MESSAGE.len();
    let fault = match seen.exit {
        None | Some(Exit::Unknown) => Some((Fault::Hung, hung(deadline, connected, seen.printed))),
        Some(Exit::Killed(13) | Exit::Exited(BROKEN_PIPE)) => {
            Some((Fault::Killed, "by a write after the connection had ended".to_owned()))
        }
        Some(Exit::Killed(signal)) => Some((Fault::Died, format!("signal {signal} killed it"))),
        Some(Exit::Exited(0)) => match answer {
            Answer::Whole => None,
            Answer::Unknown if must_succeed || has_whole_answer(row) => None,
            Answer::Part(length) if must_succeed => {
                conduct.lost_bytes = (of - length) as u64;
                Some((Fault::Lost, format!("{} of {of} bytes", of - length)))
            }
            Answer::Other if must_succeed => {
                let same = seen.stdout.iter().zip(MESSAGE.as_bytes()).take_while(|(a, b)| a == b);
                Some((Fault::Invented, format!("other bytes from byte {} on", same.count())))
            }
            answer => Some((Fault::Silent, silent(&answer, ending, of))),
        },
        Some(Exit::Exited(status)) if must_succeed => {
            Some((Fault::Quit, format!("it exited with {status}")))
        }
        Some(Exit::Exited(_)) => {
            if conduct.last_error.is_none() {
                conduct.notes.push("does not say why".into());
            }
            None
        }
    };
    let claim = if must_succeed {
        "the program prints the whole echo and exits with status 0"
    } else {
        "the program exits with another status than 0"
    };
    let mut failed = Vec::new();
    if let Some((fault, why)) = fault {
        conduct.faults.push(fault);
        failed.push(format!("{claim} ({fault}: {why})"));
    }
    if let Connected::Never = connected {
        let fault = Fault::Unconnected;
        conduct.faults.push(fault);
        failed.push(format!("the program connects ({fault})"));
    }
    (conduct, failed)
}

/// What is known of a client that did not exit.
fn hung(deadline: Duration, connected: Connected, printed: u64) -> String {
    let what = match connected {
        Connected::Yes(session) => format!(": connected; the server sent {} bytes,", session.bytes),
        Connected::Never => ": not connected,".into(),
        Connected::Unknown => ":".into(),
    };
    format!("did not exit within {}{what} it printed {printed} bytes", show_duration(deadline))
}

/// Whether every byte comes back before the fault.
fn has_whole_answer(row: &str) -> bool {
    row == "reset-at-end"
}

/// Why status 0 was wrong.
fn silent(answer: &Answer, ending: &str, of: usize) -> String {
    match answer {
        Answer::Part(0) => "nothing had come back".into(),
        Answer::Part(length) => format!("{length} of {of} bytes had come back"),
        Answer::Other if ending == "mismatch" => "other bytes had come back than were sent".into(),
        // The server has sent what was sent to it, or nothing.
        Answer::Other => "it printed other bytes than had come back".into(),
        Answer::Whole | Answer::Unknown => format!("the connection ends with: {ending}"),
    }
}

fn last_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(spaced_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(exit: Option<Exit>, stdout: &str, stderr: &str) -> Seen {
        Seen { exit, stdout: stdout.into(), stderr: stderr.into(), ..Seen::default() }
    }

    fn case<'a>(row: &'a str, ending: &'a str, compares: bool) -> Case<'a> {
        let (deadline, connected) = (Duration::from_secs(1), Connected::Unknown);
        Case { row, ending, compares, deadline, connected }
    }

    #[test]
    fn a_client_is_judged_by_its_status_and_its_output() {
        let (ok, failed) = (Some(Exit::Exited(0)), Some(Exit::Exited(4)));
        let part = &MESSAGE[..10];
        let doubled = format!("{part}{MESSAGE}");
        for (row, ending, exit, stdout, stderr, wanted) in [
            ("echo", "finished", ok, MESSAGE, "", None),
            ("drip", "finished", ok, part, "", Some(Fault::Lost)),
            ("drip", "finished", ok, "x", "", Some(Fault::Invented)),
            ("drip", "finished", failed, MESSAGE, "timeout", Some(Fault::Quit)),
            ("truncate", "closed-early", ok, part, "", Some(Fault::Silent)),
            ("truncate", "closed-early", failed, part, "closed early", None),
            ("stall-after", "timed-out", None, part, "", Some(Fault::Hung)),
            ("reset-after", "reset", Some(Exit::Killed(13)), part, "", Some(Fault::Killed)),
            ("reset-after", "reset", Some(Exit::Exited(141)), part, "", Some(Fault::Killed)),
            ("reset-after", "reset", Some(Exit::Killed(11)), part, "", Some(Fault::Died)),
            ("repeat", "mismatch", ok, doubled.as_str(), "", Some(Fault::Silent)),
            ("repeat", "mismatch", failed, doubled.as_str(), "differs", None),
            // A client that expects the banner takes it away, and one that has all bytes does not need FIN.
            ("banner", "mismatch", ok, MESSAGE, "", None),
            ("reset-at-end", "reset", ok, MESSAGE, "", None),
            ("refuse", "refused", ok, "", "", Some(Fault::Silent)),
            ("refuse", "refused", failed, "", "", None),
        ] {
            let seen = seen(exit, stdout, stderr);
            let (conduct, claims) = judge(case(row, ending, true), &seen);
            assert_eq!(conduct.worst(), wanted, "{row} {exit:?} {stdout:?}: {claims:?}");
            assert_eq!(claims.len(), usize::from(wanted.is_some()));
        }
    }

    #[test]
    fn a_client_that_prints_no_echo_is_judged_by_its_status_alone() {
        let ok = Some(Exit::Exited(0));
        let says_ok = seen(ok, "ok\n", "");
        assert!(!compares(&says_ok) && compares(&seen(ok, MESSAGE, "")));
        assert!(compares(&seen(Some(Exit::Exited(1)), "", "wrong usage")));
        let verdict = |row, ending, exit| {
            let seen = seen(exit, "ok\n", "");
            judge(case(row, ending, false), &seen).0.worst()
        };
        assert_eq!(verdict("drip", "finished", ok), None);
        assert_eq!(verdict("reset-at-end", "reset", ok), None);
        assert_eq!(verdict("corrupt", "mismatch", ok), Some(Fault::Silent));
        assert_eq!(verdict("corrupt", "mismatch", Some(Exit::Exited(1))), None);
        assert_eq!(verdict("echo", "finished", Some(Exit::Exited(1))), Some(Fault::Quit));
    }
}
