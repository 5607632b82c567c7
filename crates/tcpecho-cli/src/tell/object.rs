//! The object that `--json` writes. Its schema is `tcpecho schema connect`.

use std::{borrow::Cow, net::SocketAddr};

use rustix::io::Errno;
use serde::Serialize;
use tcpecho::{Attempt, Diagnosis, internal::Reasons};
use tcpecho_os::errno;

use super::{
    Report,
    evidence::{EvidenceObject, micros},
};

/// The call that failed where a name has no address.
pub(super) const GETADDRINFO: &str = "getaddrinfo";

#[derive(Serialize)]
pub(super) struct Object<'a> {
    ending: Option<&'static str>,
    op: &'a str,
    addr: Option<SocketAddr>,
    errno: Option<&'static str>,
    message: &'a str,
    /// Null where it ended well; the same shape in the objects of all verbs.
    error: Option<ErrorObject<'a>>,
    diagnosis: Option<Meaning<'a>>,
    evidence: Option<EvidenceObject>,
    sent: u64,
    received: u64,
    unsent: u64,
    unwritten: u64,
    first_difference_offset: Option<u64>,
    duration_us: u64,
    connect_us: Option<u64>,
    local: Option<SocketAddr>,
    attempts: Vec<AttemptObject<'a>>,
    outrun: Vec<Outrun>,
    exit_status: u8,
}

/// What it means and what to try, beside the message that says what was seen.
#[derive(Serialize)]
pub(crate) struct Meaning<'a> {
    case: &'a str,
    cause: Cow<'a, str>,
    advice: Cow<'a, str>,
    certain: bool,
}

#[derive(Serialize)]
pub(super) struct AttemptObject<'a> {
    addr: SocketAddr,
    ending: &'static str,
    op: &'a str,
    errno: Option<&'static str>,
    message: &'a str,
    elapsed_us: u64,
    diagnosis: Meaning<'a>,
    evidence: EvidenceObject,
}

#[derive(Serialize)]
struct Outrun {
    addr: SocketAddr,
    elapsed_us: u64,
}

impl<'a> Object<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        Object {
            ending: report.ending.map(tcpecho::Ending::word),
            op: report.op,
            addr: report.addr,
            errno: report.errno.and_then(errno::name),
            message: &report.message,
            error: (report.exit_status != 0).then(|| ErrorObject::of(report)),
            diagnosis: report.diagnosis.as_ref().map(Meaning::of),
            evidence: report.evidence.as_ref().map(EvidenceObject::of),
            sent: report.sent,
            received: report.received,
            unsent: report.unsent,
            unwritten: report.unwritten,
            first_difference_offset: report.first_difference_offset,
            duration_us: micros(report.duration),
            connect_us: report.connect_time.map(micros),
            local: report.local,
            attempts: report.attempts.iter().map(AttemptObject::of).collect(),
            outrun: report
                .outrun
                .iter()
                .map(|(addr, elapsed)| Outrun { addr: *addr, elapsed_us: micros(*elapsed) })
                .collect(),
            exit_status: report.exit_status,
        }
    }
}

/// `error` in the objects of all verbs.
#[derive(Serialize)]
pub(crate) struct ErrorObject<'a> {
    /// The call that showed it, or `usage`.
    pub(crate) op: &'a str,
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) errno: Option<&'static str>,
    /// Null where it was not a connection that failed.
    pub(crate) ending: Option<&'static str>,
    pub(crate) message: &'a str,
}

impl<'a> ErrorObject<'a> {
    fn of(report: &'a Report) -> Self {
        ErrorObject {
            op: report.op,
            addr: report.addr,
            errno: report.errno.and_then(errno::name),
            ending: report.ending.map(tcpecho::Ending::word),
            message: &report.message,
        }
    }
    /// The call `op` showed what `diagnosis` says.
    pub(crate) fn of_diagnosis(
        op: &'a str,
        addr: Option<SocketAddr>,
        errno: Option<Errno>,
        diagnosis: &'a Diagnosis,
    ) -> Self {
        let errno = errno.and_then(errno::name);
        let (ending, message) = (Some(diagnosis.ending.word()), &diagnosis.seen);
        ErrorObject { op, addr, errno, ending, message }
    }

    /// A name has no address.
    pub(crate) fn of_unresolved(diagnosis: &'a Diagnosis) -> Self {
        ErrorObject {
            op: GETADDRINFO,
            addr: None,
            errno: None,
            ending: Some(diagnosis.ending.word()),
            message: &diagnosis.seen,
        }
    }
}

impl<'a> Meaning<'a> {
    pub(crate) fn of(diagnosis: &'a Diagnosis) -> Self {
        let Diagnosis { case, cause, advice, certain, .. } = diagnosis;
        Meaning {
            case,
            cause: Cow::Borrowed(cause),
            advice: Cow::Borrowed(advice),
            certain: *certain,
        }
    }

    /// Why this host cannot listen. Of several causes each is a possibility.
    pub(super) fn of_reasons(reasons: &Reasons) -> Self {
        let Reasons { causes, advice } = reasons;
        Meaning {
            case: "cannot-listen",
            cause: causes.join("; ").into(),
            advice: advice.join("; ").into(),
            certain: causes.len() == 1,
        }
    }
}

impl<'a> AttemptObject<'a> {
    pub(super) fn of(attempt: &'a Attempt) -> Self {
        AttemptObject {
            addr: attempt.addr,
            ending: attempt.ending.word(),
            op: attempt.error.op,
            errno: attempt.error.source.name(),
            message: &attempt.diagnosis.seen,
            elapsed_us: micros(attempt.elapsed),
            diagnosis: Meaning::of(&attempt.diagnosis),
            evidence: EvidenceObject::of(&attempt.evidence),
        }
    }
}
