//! The same as objects: one for each thing that happens, one for the whole run. `tcpecho schema ping` says what is in them.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tcpecho::{Attempt, Diagnosis};
use tcpecho_probe::{
    Answer, Broken, Cause, Connected, Event, Kernel, Loss, Mode, Outcome, Pace, Series, Stats,
    Target,
};

use super::args::Plan;
use crate::tell::{ErrorObject, Meaning};

/// One thing that happened, in one line.
pub(super) fn event(target: &str, event: &Event) -> String {
    object(&EventRow { target, at_unix_us: us(since_1970()), what: What::of(event) })
}

/// A target whose name gave no address, in one line.
pub(super) fn unresolved(target: &str, diagnosis: &Diagnosis) -> String {
    let what = What::unresolved(diagnosis);
    object(&EventRow { target, at_unix_us: us(since_1970()), what })
}

/// This program itself did not run for so long, in one line.
pub(super) fn paused(span: Duration, message: &str) -> String {
    let (event, at_unix_us) = ("paused", us(since_1970()));
    object(&PausedRow { event, at_unix_us, paused_us: us(span), message })
}

/// The whole run, in one line; with a tag where it is the last of a stream.
pub(super) fn report(
    outcome: &Outcome,
    unresolved: &[(String, Diagnosis)],
    plan: &Plan,
    spent: Duration,
    exit_status: u8,
    in_stream: bool,
) -> String {
    object(&ReportRow {
        event: in_stream.then_some("report"),
        settings: Settings::of(plan),
        targets: outcome
            .targets
            .iter()
            .map(TargetRow::of)
            .chain(unresolved.iter().map(|(name, why)| TargetRow::of_unresolved(name, why)))
            .collect(),
        pauses: outcome.pauses,
        paused_us: us(outcome.paused),
        duration_us: us(spent),
        exit_status,
    })
}

/// One object, in one line.
pub(super) fn object(row: &impl Serialize) -> String {
    serde_json::to_string(row).unwrap_or_default()
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Microseconds, to the nanosecond.
pub(super) fn us(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e3
}

#[derive(Serialize)]
struct PausedRow<'a> {
    event: &'static str,
    at_unix_us: f64,
    paused_us: f64,
    message: &'a str,
}

#[derive(Serialize)]
struct EventRow<'a> {
    target: &'a str,
    at_unix_us: f64,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum What<'a> {
    Unresolved {
        message: &'a str,
        diagnosis: Meaning<'a>,
    },
    Connected {
        peer: SocketAddr,
        local: SocketAddr,
        connect_us: f64,
        retransmits: u32,
        again: bool,
        timestamps: &'static str,
        attempts: Vec<AttemptRow<'a>>,
    },
    Unconnected {
        attempts: Vec<AttemptRow<'a>>,
    },
    Answered(AnswerRow),
    Late(AnswerRow),
    Doubled {
        seq: u64,
    },
    Corrupted {
        seq: u64,
        offset_bytes: usize,
    },
    Foreign {
        bytes: usize,
    },
    Refused {
        seq: u64,
        time_us: f64,
    },
    Lost {
        seq: u64,
        why: &'static str,
        returned_bytes: Option<usize>,
        acknowledged: Option<bool>,
        retransmits: Option<u32>,
    },
    Broken {
        peer: SocketAddr,
        ending: &'static str,
        op: &'static str,
        errno: Option<&'static str>,
        message: &'a str,
        lasted_us: f64,
        diagnosis: Meaning<'a>,
    },
    Unanswered {
        error: ErrorObject<'a>,
        diagnosis: Meaning<'a>,
    },
    Outage {
        first_seq: u64,
        lost: u64,
        outage_us: f64,
        end_unix_us: Option<f64>,
    },
}

#[derive(Serialize)]
struct AnswerRow {
    seq: u64,
    bytes: usize,
    peer: SocketAddr,
    time_us: f64,
    rtt_us: f64,
    rtt_clock: &'static str,
    ack_us: Option<f64>,
    connect_us: Option<f64>,
    srtt_us: Option<f64>,
    min_rtt_us: Option<f64>,
    retransmits: Option<u32>,
    paused_us: Option<f64>,
}

#[derive(Serialize)]
struct AttemptRow<'a> {
    addr: Option<SocketAddr>,
    ending: &'static str,
    op: &'static str,
    errno: Option<&'static str>,
    message: &'a str,
    elapsed_us: f64,
    diagnosis: Meaning<'a>,
}

impl<'a> What<'a> {
    fn of(event: &'a Event) -> Self {
        match event {
            Event::Connected(connected) => What::connected(connected),
            Event::Unconnected { failures, .. } => {
                What::Unconnected { attempts: AttemptRow::all(failures) }
            }
            Event::Answer(answer) if answer.late => What::Late(AnswerRow::of(answer)),
            Event::Answer(answer) => What::Answered(AnswerRow::of(answer)),
            Event::Doubled { seq } => What::Doubled { seq: *seq },
            Event::Corrupted { seq, at } => What::Corrupted { seq: *seq, offset_bytes: *at },
            Event::Foreign { bytes } => What::Foreign { bytes: *bytes },
            Event::Refused { seq, time } => What::Refused { seq: *seq, time_us: us(*time) },
            Event::Lost { seq, why } => What::lost(*seq, *why),
            Event::Broken(broken) => What::broken(broken),
            Event::Unresolved(diagnosis) => What::unresolved(diagnosis),
            Event::Unanswered(cause) => {
                What::Unanswered { error: error(cause), diagnosis: Meaning::of(&cause.diagnosis) }
            }
            Event::Outage { first, lost, span, end } => What::Outage {
                first_seq: *first,
                lost: *lost,
                outage_us: us(*span),
                end_unix_us: end.map(|end| us(since_1970().saturating_sub(end.elapsed()))),
            },
        }
    }

    fn unresolved(diagnosis: &'a Diagnosis) -> Self {
        What::Unresolved { message: &diagnosis.seen, diagnosis: Meaning::of(diagnosis) }
    }

    fn connected(connected: &'a Connected) -> Self {
        What::Connected {
            peer: connected.peer,
            local: connected.local,
            connect_us: us(connected.took),
            retransmits: connected.retransmits,
            again: connected.again,
            timestamps: clock(connected.stamps),
            attempts: AttemptRow::all(&connected.failures),
        }
    }

    fn lost(seq: u64, why: Loss) -> Self {
        let mut word = "silence";
        let (mut returned_bytes, mut acknowledged, mut retransmits) = (None, None, None);
        match why {
            Loss::Silence { returned, acknowledged: heard, retransmits: again, .. } => {
                (returned_bytes, acknowledged, retransmits) = (Some(returned), heard, Some(again));
            }
            Loss::Unsent { .. } => word = "unsent",
            Loss::Ended(ending) => word = ending.word(),
            Loss::NoConnection => word = "no-connection",
        }
        What::Lost { seq, why: word, returned_bytes, acknowledged, retransmits }
    }

    fn broken(broken: &'a Broken) -> Self {
        What::Broken {
            peer: broken.peer,
            ending: broken.ending().word(),
            op: broken.op,
            errno: broken.errno.and_then(tcpecho_os::errno::name),
            message: &broken.diagnosis.seen,
            lasted_us: us(broken.lasted),
            diagnosis: Meaning::of(&broken.diagnosis),
        }
    }
}

impl AnswerRow {
    fn of(answer: &Answer) -> Self {
        let kernel = answer.kernel.as_ref();
        AnswerRow {
            seq: answer.seq,
            bytes: answer.bytes,
            peer: answer.peer,
            time_us: us(answer.time),
            rtt_us: us(answer.rtt),
            rtt_clock: clock(answer.by_kernel),
            ack_us: answer.ack.map(us),
            connect_us: answer.connect.map(us),
            srtt_us: kernel.map(|kernel| us(kernel.srtt)),
            min_rtt_us: kernel.and_then(|Kernel { min_rtt, .. }| min_rtt.map(us)),
            retransmits: kernel.map(|kernel| kernel.retransmits),
            paused_us: Some(answer.paused).filter(|span| !span.is_zero()).map(us),
        }
    }
}

impl<'a> AttemptRow<'a> {
    fn all(failures: &'a [Attempt]) -> Vec<Self> {
        let row = |failure: &'a Attempt| AttemptRow {
            addr: failure.error.addr,
            ending: failure.ending.word(),
            op: failure.error.op,
            errno: failure.error.source.name(),
            message: &failure.diagnosis.seen,
            elapsed_us: us(failure.elapsed),
            diagnosis: Meaning::of(&failure.diagnosis),
        };
        failures.iter().map(row).collect()
    }
}

fn error(cause: &Cause) -> ErrorObject<'_> {
    ErrorObject::of_diagnosis(cause.op, cause.addr, cause.errno, &cause.diagnosis)
}

fn clock(kernel: bool) -> &'static str {
    if kernel { "kernel" } else { "user" }
}

#[derive(Serialize)]
struct ReportRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    settings: Settings,
    targets: Vec<TargetRow<'a>>,
    /// How often this program itself did not run.
    pauses: u64,
    paused_us: f64,
    duration_us: f64,
    exit_status: u8,
}

#[derive(Serialize)]
struct Settings {
    probe: &'static str,
    pace: &'static str,
    interval_us: f64,
    count: Option<u64>,
    deadline_us: Option<f64>,
    timeout_us: f64,
    size_bytes: usize,
}

impl Settings {
    fn of(plan: &Plan) -> Self {
        let (pace, interval) = match plan.pace {
            Pace::Every(interval) => ("every", interval),
            Pace::Settled(least) => ("adaptive", least),
            Pace::Flood(most) => ("flood", most),
        };
        Settings {
            probe: match plan.mode {
                Mode::Stay => "echo",
                Mode::Reconnect => "reconnect",
                Mode::Connect => "connect",
            },
            pace,
            interval_us: us(interval),
            count: plan.count,
            deadline_us: plan.deadline.map(us),
            timeout_us: us(plan.timeout),
            size_bytes: if plan.mode == Mode::Connect { 0 } else { plan.size },
        }
    }
}

#[derive(Serialize, Default)]
struct TargetRow<'a> {
    target: &'a str,
    peer: Option<SocketAddr>,
    /// Why it could not be probed, or nothing was answered.
    error: Option<ErrorObject<'a>>,
    diagnosis: Option<Meaning<'a>>,
    transmitted: u64,
    received: u64,
    late: u64,
    refused: u64,
    corrupted: u64,
    lost: u64,
    under_way: u64,
    doubled: u64,
    foreign_bytes: u64,
    /// Nothing where no probe was sent.
    loss_percent: Option<f64>,
    untimed: u64,
    time: Option<Spread>,
    rtt: Option<Spread>,
    rtt_by_kernel: u64,
    /// Nothing without a round trip.
    jitter_us: Option<f64>,
    retransmits: u64,
    connections: u64,
    broken: u64,
    connect: Option<Spread>,
    outages: u64,
    outage_us: f64,
    longest_outage_us: f64,
    /// The one that had not ended when the run did.
    unended_outage_us: Option<f64>,
}

impl<'a> TargetRow<'a> {
    fn of_unresolved(target: &'a str, diagnosis: &'a Diagnosis) -> Self {
        let error = Some(ErrorObject::of_unresolved(diagnosis));
        let diagnosis = Some(Meaning::of(diagnosis));
        TargetRow { target, error, diagnosis, ..TargetRow::default() }
    }

    fn of(target: &'a Target) -> Self {
        let stats: &Stats = &target.stats;
        TargetRow {
            target: &target.name,
            peer: target.addr(),
            error: target.cause().map(error),
            diagnosis: target.cause().map(|cause| Meaning::of(&cause.diagnosis)),
            transmitted: stats.transmitted,
            received: stats.answered,
            late: stats.late,
            refused: stats.refused,
            corrupted: stats.corrupted,
            lost: stats.lost,
            under_way: target.under_way(),
            doubled: stats.doubled,
            foreign_bytes: stats.foreign_bytes,
            loss_percent: (stats.transmitted > 0).then(|| stats.loss_percent()),
            untimed: stats.untimed(),
            time: Spread::of(&stats.time),
            rtt: Spread::of(&stats.rtt),
            rtt_by_kernel: stats.by_kernel,
            jitter_us: (stats.rtt.count() > 0).then(|| us(stats.jitter())),
            retransmits: stats.retransmits,
            connections: stats.connections,
            broken: stats.breaks,
            connect: Spread::of(&stats.connect),
            outages: stats.outages.count,
            outage_us: us(stats.outages.all),
            longest_outage_us: us(stats.outages.longest),
            unended_outage_us: stats.outages.unended.map(us),
        }
    }
}

#[derive(Serialize)]
struct Spread {
    count: u64,
    min_us: f64,
    mean_us: f64,
    max_us: f64,
    mdev_us: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
}

impl Spread {
    fn of(series: &Series) -> Option<Self> {
        (series.count() > 0).then(|| Spread {
            count: series.count(),
            min_us: us(series.min()),
            mean_us: us(series.mean()),
            max_us: us(series.max()),
            mdev_us: us(series.deviation()),
            p50_us: us(series.percentile(50.0)),
            p90_us: us(series.percentile(90.0)),
            p99_us: us(series.percentile(99.0)),
        })
    }
}
