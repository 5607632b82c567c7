//! The life of running servers: waits for signals and for the servers' end, and drains or closes all of them.

use std::{
    os::fd::AsFd,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
    stdio,
};
use tcpecho::Server;

use super::speech::{Counters, Speech};
use crate::{exit, http::HttpServer, signals::Signals};

/// The signals that end the servers.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// A server and what speaks for it.
pub(super) struct Attended {
    /// Control has it, too.
    pub(super) server: Arc<Server>,
    pub(super) speech: Speech,
}

/// What can ask the servers to end.
pub(super) struct Asking {
    pub(super) signals: Signals,
    /// The end of stdin does, too (`--until-eof`): until it has come.
    pub(super) until_eof: bool,
}

/// What has asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Signal(Signal),
    EndOfStdin,
}

impl Asked {
    /// Its name, if it is to end the servers.
    fn ending(self) -> Option<&'static str> {
        match self {
            Asked::Signal(signal) => ENDING.contains(&signal).then(|| signal.as_str()),
            Asked::EndOfStdin => Some("end of stdin"),
        }
    }
}

impl Asking {
    /// Returns whether stdin has come to its end. What comes before is discarded.
    fn reads_stdin(&mut self) -> bool {
        match read(stdio::stdin(), &mut [0; 4096]) {
            Err(Errno::INTR | Errno::AGAIN) => false,
            Ok(n) if n > 0 => false,
            read => {
                self.until_eof = false;
                // EIO: a terminal that another job reads from. Then only a signal ends the servers.
                read != Err(Errno::IO)
            }
        }
    }
}

/// How far the end has come.
#[derive(Clone, Copy)]
enum Stage {
    Serving,
    /// Until then.
    Draining(Instant),
    Closing,
}

/// Waits for what asks for the end, and for the end of every server. The first one drains, a second one or the deadline
/// closes. If one server fails, all are closed. The page ends when the servers begin to end.
pub(super) fn attend(
    all: &[Attended],
    asking: &mut Asking,
    drain_timeout: Duration,
    speech: &Speech,
    mut page: Option<HttpServer>,
) -> ExitCode {
    let mut stage = Stage::Serving;
    let mut running: Vec<&Attended> = all.iter().collect();
    let mut status = ExitCode::SUCCESS;
    loop {
        let asked = wait(&mut running, asking, stage, |ended| {
            if let Some(error) = ended.server.failure() {
                ended.speech.failed(&error);
                status = ExitCode::from(exit::NOT_POSSIBLE);
                return true;
            }
            false
        });
        let (has_failed, asked) = asked;
        if running.is_empty() {
            drop(page);
            tell_counters(all, speech);
            return status;
        }
        if has_failed {
            page = None;
            stage = close(&running, speech, "the failure");
            continue;
        }
        let ending = asked.and_then(Asked::ending);
        match (stage, ending) {
            _ if asked == Some(Asked::Signal(Signal::SIGUSR1)) => tell_counters(all, speech),
            (Stage::Serving, Some(cause)) => {
                speech.draining(cause, drain_timeout);
                page = None;
                for one in &running {
                    one.server.begin_drain();
                }
                stage = Stage::Draining(Instant::now() + drain_timeout);
            }
            (Stage::Draining(_), Some(cause)) => stage = close(&running, speech, cause),
            (Stage::Draining(end), None) if Instant::now() >= end => {
                stage = close(&running, speech, "the drain timeout");
            }
            _ => {}
        }
    }
}

/// The counters of each server that had a connection, and the sum where there are several servers.
fn tell_counters(all: &[Attended], speech: &Speech) {
    let mut sum = Counters::default();
    for Attended { server, speech } in all {
        let counters = Counters::of(&server.stats());
        if all.len() > 1 && !counters.is_zero() {
            speech.counters(&counters);
        }
        sum.add(counters);
    }
    speech.counters(&sum);
}

fn close(running: &[&Attended], speech: &Speech, cause: &str) -> Stage {
    speech.closing(cause, running.iter().map(|one| one.server.stats().active).sum());
    for one in running {
        one.server.close();
    }
    Stage::Closing
}

/// Waits for an end or a signal. Removes the servers that have ended, after `ended` has said of each whether it failed.
/// Returns whether one has, and what asks for something.
fn wait(
    running: &mut Vec<&Attended>,
    asking: &mut Asking,
    stage: Stage,
    mut ended: impl FnMut(&Attended) -> bool,
) -> (bool, Option<Asked>) {
    let left = match stage {
        Stage::Draining(end) => {
            Timespec::try_from(end.saturating_duration_since(Instant::now())).ok()
        }
        Stage::Serving | Stage::Closing => None,
    };
    let asked = asking.signals.as_fd();
    let mut watched: Vec<PollFd<'_>> =
        running.iter().map(|one| PollFd::new(&one.server, PollFlags::IN)).collect();
    watched.push(PollFd::new(&asked, PollFlags::IN));
    let stdin = stdio::stdin();
    if asking.until_eof {
        watched.push(PollFd::new(&stdin, PollFlags::IN));
    }
    let result = poll(&mut watched, left.as_ref());
    let have_ended: Vec<bool> = match result {
        Ok(_) | Err(Errno::INTR) => watched.iter().map(|one| !one.revents().is_empty()).collect(),
        Err(_) => vec![true; watched.len()],
    };
    let mut has_failed = false;
    let mut place = 0;
    running.retain(|one| {
        let has_ended = have_ended[place];
        place += 1;
        has_failed |= has_ended && ended(one);
        !has_ended
    });
    let asked = result.ok().and_then(|_| {
        let signal = asking.signals.next().map(Asked::Signal);
        let stdin_is_ready = asking.until_eof && have_ended.last() == Some(&true);
        signal.or_else(|| (stdin_is_ready && asking.reads_stdin()).then_some(Asked::EndOfStdin))
    });
    (has_failed, asked)
}
