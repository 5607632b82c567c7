//! From how a run ended to what is reported of it.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use tcpecho::{Ending, words};

use super::Stopped;
use crate::{
    exit,
    relay::{Difference, End, Relayed, Rules},
    tell::{Report, seen},
};

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
                report.ending = Some(Ending::ResolveFailed);
                report.op = "getaddrinfo";
                report.message = error.to_string();
                report.exit_status = exit::NOT_CONNECTED;
            }
            // Each attempt has its own reason; the last stands for all where there is one place
            // only.
            Stopped::Unconnected => {
                report.exit_status = exit::NOT_CONNECTED;
                if let Some(last) = report.attempts.last() {
                    report.ending = Some(last.ending);
                    report.op = last.error.op;
                    report.addr = last.error.addr;
                    report.errno = Some(last.error.source);
                    report.message = seen(last);
                }
            }
            Stopped::Impossible { op, message } => {
                report.op = op;
                report.message = message;
                report.exit_status = exit::NOT_POSSIBLE;
            }
        }
    }
}

fn note_signal(report: &mut Report, signal: Option<Signal>) {
    report.message = signal.map_or("a signal", Signal::as_str).into();
    report.exit_status = signal.map_or(Ending::Interrupted.row().exit_status, exit::interrupted_by);
}

impl Relayed {
    /// What this adds to the report.
    pub(super) fn note_in(&self, report: &mut Report, rules: Rules, peer: SocketAddr) {
        report.sent = self.sent;
        report.received = self.received;
        report.addr = Some(peer);
        let (ending, op) = match self.end {
            End::Connection { ending, op, .. } => (Some(ending), op),
            End::Silence(_) => (Some(Ending::GaveUp), "poll"),
            End::Different(_) => (Some(Ending::Mismatch), "recv"),
            End::Signal(_) => (Some(Ending::Interrupted), "poll"),
            End::OutputClosed => (Some(Ending::Interrupted), "write standard output"),
            End::Local { op, .. } => (None, op),
        };
        report.ending = ending;
        report.op = op;
        report.exit_status = ending.map_or(exit::NOT_POSSIBLE, |ending| ending.row().exit_status);
        report.message = match self.end {
            End::Connection { errno: None, .. } => format!("{op} {peer}: end of file"),
            End::Connection { errno: Some(errno), .. } => format!("{op} {peer}: {}", words(errno)),
            End::Silence(limit) => format!("{op} {peer}: no byte moved for {limit:?}"),
            End::Different(difference) => format!("{op} {peer}: {}", difference.words()),
            End::Signal(_) => String::new(),
            End::OutputClosed => format!("{op}: nobody reads it any more"),
            End::Local { errno, .. } => format!("{op}: {}", words(errno)),
        };
        match self.end {
            End::Connection { errno, .. } => report.errno = errno,
            End::Different(Difference { offset, .. }) => {
                report.first_difference_offset = Some(offset);
            }
            End::Signal(signal) => note_signal(report, Some(signal)),
            // As other filters do.
            End::OutputClosed => report.exit_status = 0,
            End::Local { errno, .. } => (report.errno, report.addr) = (Some(errno), None),
            End::Silence(_) => {}
        }
        if matches!(self.end, End::Connection { .. } | End::Silence(_)) {
            report.message += &self.debts(rules);
        }
    }

    /// What was still owed, from either side.
    fn debts(&self, rules: Rules) -> String {
        let Relayed { sent, unsent, returned, .. } = self;
        let mut debts = String::new();
        if rules.check {
            debts = format!("; {returned} of {sent} bytes had come back");
        }
        match unsent {
            0 => debts,
            _ => format!("{debts}; {unsent} bytes could not be sent"),
        }
    }
}

impl Difference {
    fn words(&self) -> String {
        let show = |byte: u8| format!("0x{byte:02x} '{}'", byte.escape_ascii());
        let expected = self.expected.map_or("nothing more".into(), show);
        format!("at offset {}: expected {expected}, got {}", self.offset, show(self.got))
    }
}
