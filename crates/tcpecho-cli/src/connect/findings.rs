//! From how a run ended to what is reported of it.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use rustix::io::Errno;
use tcpecho::{
    Attempt, Diagnosis, Ending, Error, Evidence, Phase, Symptom, Tried,
    internal::relay::{Difference, End, Relayed},
};
use tcpecho_os::errno::words;

use super::{Stopped, args::Plan};
use crate::{exit, input, tell::Report};

/// The call that writes stdout, as messages name it.
const WRITE: &str = "write to stdout";

impl Stopped {
    /// What this adds to the report.
    pub(super) fn note_in(self, report: &mut Report) {
        match self {
            Stopped::Signal(signal) => {
                report.ending = Some(Ending::Interrupted);
                report.op = "connect";
                note_signal(report, signal);
            }
            Stopped::Unresolved(error) => {
                report.op = "getaddrinfo";
                report.exit_status = exit::NOT_CONNECTED;
                let evidence = Evidence::new(Phase::Resolve);
                report.conclude(&Symptom::Unresolved(error), evidence);
            }
            // Each attempt has its own reason; the one that tells most stands for all where there is
            // one place only.
            Stopped::Unconnected => {
                report.exit_status = exit::NOT_CONNECTED;
                if let Some(attempt) = Attempt::most_informative(&report.attempts) {
                    report.ending = Some(attempt.ending);
                    report.op = attempt.error.op;
                    report.addr = attempt.error.addr;
                    report.errno = Some(attempt.error.source.into());
                    report.message.clone_from(&attempt.diagnosis.seen);
                    report.diagnosis = Some(attempt.diagnosis.clone());
                }
            }
            Stopped::Impossible { op, errno, message } => {
                report.op = op;
                report.errno = errno;
                report.message = message;
                report.exit_status = exit::NOT_POSSIBLE;
            }
        }
    }
}

impl Report {
    /// What a symptom means, and what that was concluded from.
    fn conclude(&mut self, symptom: &Symptom, evidence: Evidence) {
        let diagnosis = Diagnosis::of(symptom, &evidence);
        self.ending = Some(diagnosis.ending);
        self.message.clone_from(&diagnosis.seen);
        self.diagnosis = Some(diagnosis);
        self.evidence = Some(evidence);
    }
}

fn note_signal(report: &mut Report, signal: Option<Signal>) {
    report.message = signal.map_or("a signal", Signal::as_str).into();
    report.exit_status = signal.map_or(exit::status(Ending::Interrupted), exit::interrupted_by);
}

/// Adds how the conversation went to the report. `signal` is the one that ended it, if one did.
pub(super) fn note(
    relayed: Relayed,
    signal: Option<Signal>,
    report: &mut Report,
    plan: &Plan,
    peer: SocketAddr,
) {
    report.sent = relayed.sent;
    report.received = relayed.received;
    (report.unsent, report.unwritten) = (relayed.unsent, relayed.unwritten);
    report.addr = Some(peer);
    let mut evidence = relayed.evidence;
    evidence.user_timeout = plan.rules.user_timeout;
    evidence.keepalive = plan.keepalive;
    evidence.tried = report.attempts.iter().map(Tried::from).collect();
    match relayed.end {
        End::Connection { ending: Ending::Finished, op, .. } => {
            report.ending = Some(Ending::Finished);
            report.op = op;
            report.message = format!("{op} {peer}: end of file");
        }
        End::Connection { op, errno, .. } => {
            (report.op, report.errno) = (op, errno);
            let failed = |errno| Symptom::Error(Error::at(op, peer, errno));
            report.broke(&errno.map_or(Symptom::EndOfFile, failed), evidence);
        }
        End::Silence(limit) => {
            report.op = "poll";
            evidence.deadline = Some(limit);
            report.broke(&Symptom::Silence(limit), evidence);
        }
        End::Different(difference) => {
            report.op = "recv";
            report.first_difference_offset = Some(difference.offset);
            let (words, offset) = (difference_words(&difference), difference.offset);
            report.conclude(&Symptom::Different { words, offset }, evidence);
            if let Some(diagnosis) = &mut report.diagnosis {
                diagnosis.advice += "; use --no-check for servers that do not echo";
            }
            report.exit_status = exit::MISMATCH;
        }
        End::Interrupted => {
            (report.ending, report.op) = (Some(Ending::Interrupted), "poll");
            note_signal(report, signal);
        }
        // As other filters do.
        End::OutputClosed => {
            (report.ending, report.op) = (Some(Ending::Interrupted), WRITE);
            report.message = format!("{}: the reader has closed it", report.op);
        }
        End::Input(errno) => note_local(report, input::READ, errno),
        End::Output(errno) => note_local(report, WRITE, errno),
        End::Poll(errno) => note_local(report, "poll", errno),
    }
}

/// Something on this side failed.
fn note_local(report: &mut Report, op: &'static str, errno: Errno) {
    (report.op, report.errno, report.addr) = (op, Some(errno), None);
    report.message = format!("{op}: {}{}", words(errno), report.lost());
    report.exit_status = exit::NOT_POSSIBLE;
}

impl Report {
    /// An established connection ended so, whatever the same words mean of one that was never made.
    fn broke(&mut self, symptom: &Symptom, evidence: Evidence) {
        self.conclude(symptom, evidence);
        self.exit_status = exit::BROKEN;
    }
}

fn difference_words(difference: &Difference) -> String {
    let show = |byte: u8| format!("0x{byte:02x} '{}'", byte.escape_ascii());
    let expected = difference.expected.map_or("nothing more".into(), show);
    let got = show(difference.got);
    format!("at offset {}: expected {expected}, got {got}", difference.offset)
}
