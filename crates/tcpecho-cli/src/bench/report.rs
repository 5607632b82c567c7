//! What a run came to, for people and programs. The forms below all show the same [`Summary`].

pub(super) mod hdr;
pub(super) mod html;
pub(super) mod look;
pub(super) mod plot;
pub(super) mod summary;
pub(super) mod table;
pub(super) mod text;
mod verdict;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tcpecho_load::{Interval, Kind, Outcome, Schedule, Unit};

use super::{args::Plan, machine::Fact, server::ServerUsage};
use crate::units::{count, counted, span, time};

pub(super) use self::summary::Summary;

/// A smaller difference between two readings of a server's memory is noise: four pages, in bytes.
pub(super) const MEMORY_RESOLUTION: f64 = 16384.0;

/// A stretch of the measured time, in few numbers, so that long runs stay small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// Seconds from the start of the measured time.
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    pub(super) throughput_per_s: f64,
    pub(super) messages: u64,
    pub(super) received_bytes: Option<u64>,
    pub(super) connections: Option<u64>,
    pub(super) errors: Option<u64>,
    /// Of the response times where there is a schedule, else of the service times.
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
    pub(super) max_ns: Option<u64>,
    /// Requests a second that were due in its middle.
    pub(super) offered_per_s: Option<f64>,
}

impl Row {
    pub(super) fn of(
        interval: &Interval,
        unit: Unit,
        schedule: Option<Schedule>,
        warmup: u64,
    ) -> Self {
        let Interval { from, to, tally } = interval;
        let latency = tally.latency();
        let seconds = (to.saturating_sub(*from) as f64 / 1e9).max(1e-9);
        let units = match unit {
            Unit::Megabytes => tally.received as f64 / 1e6,
            _ => tally.messages as f64,
        };
        Row {
            from_s: *from as f64 / 1e9,
            to_s: *to as f64 / 1e9,
            throughput_per_s: units / seconds,
            messages: tally.messages,
            received_bytes: Some(tally.received),
            connections: Some(tally.connections),
            errors: Some(tally.error_count()),
            p50_ns: latency.quantile(0.5),
            p99_ns: latency.quantile(0.99),
            max_ns: latency.max(),
            offered_per_s: schedule
                .map(|schedule| schedule.rate_at(warmup + u64::midpoint(*from, *to))),
        }
    }
}

/// What a run left behind, before it is put into a [`Summary`].
pub(super) struct Measured<'a> {
    pub(super) plan: &'a Plan,
    pub(super) schedule: Option<Schedule>,
    /// The server in words, and its processors if we chose them.
    pub(super) server: String,
    /// The driver that was used, and the threads.
    pub(super) driver: &'static str,
    pub(super) threads: usize,
    pub(super) outcome: Outcome,
    /// The signal that ended the run early.
    pub(super) stopped: Option<Signal>,
    pub(super) usage: ServerUsage,
    pub(super) rows: Vec<Row>,
    /// How the server ended, if it did.
    pub(super) death: Option<String>,
    pub(super) facts: Vec<Fact>,
    /// What may have spoiled the run, known beforehand.
    pub(super) remarks: Vec<String>,
}

impl Measured<'_> {
    fn unit(&self) -> Unit {
        self.plan.workload.unit
    }

    /// How many units were counted.
    fn units(&self) -> f64 {
        match (self.plan.workload.kind, self.unit()) {
            (Kind::Idle, _) => self.outcome.open as f64,
            (_, Unit::Megabytes) => self.outcome.total.received as f64 / 1e6,
            _ => self.outcome.total.messages as f64,
        }
    }

    /// Units a second.
    fn throughput(&self) -> f64 {
        if self.outcome.seconds > 0.0 { self.units() / self.outcome.seconds } else { 0.0 }
    }

    /// Nanoseconds of the server's processor time for each unit.
    fn server_cost(&self) -> Option<f64> {
        self.usage.cpu_ns.filter(|_| self.units() > 0.0).map(|cpu| cpu / self.units())
    }

    /// How much of one processor the server used.
    fn server_share(&self) -> Option<f64> {
        let seconds = self.outcome.seconds;
        self.usage.cpu_ns.filter(|_| seconds > 0.0).map(|cpu| cpu / 1e9 / seconds)
    }

    /// Nanoseconds of the generator's processor time for each unit.
    fn client_cost(&self) -> Option<f64> {
        let busy: u64 = self.outcome.client.iter().map(|used| used.busy_ns).sum();
        (self.units() > 0.0).then(|| busy as f64 / self.units())
    }

    /// The server's memory for each idle connection, in bytes of PSS, unless it is below what can be measured. Under load a
    /// server was not warmed up, and memory is not at rest.
    fn memory_each(&self) -> Option<f64> {
        let (before, held) = (self.usage.memory_before?, self.usage.memory_held?);
        let is_measured = self.plan.workload.kind == Kind::Idle
            && self.outcome.open > 0
            && held - before >= MEMORY_RESOLUTION;
        is_measured.then(|| (held - before) / self.outcome.open as f64)
    }
}

impl Plan {
    /// What a reader of the result must know.
    fn remarks_of(&self, measured: &Measured) -> Vec<String> {
        let mut notes = measured.remarks.clone();
        if self.workload.kind != Kind::Idle {
            notes.extend(summary::verdict(measured));
        }
        let total = &measured.outcome.total;
        let mean = total.late_sum as f64 / total.due.max(1) as f64;
        if total.late_max > 1_000_000 {
            notes.push(format!(
                "the client sent due requests late, by {} at most and {} on average: response \
                 times contain this delay",
                time(total.late_max as f64),
                time(mean),
            ));
        }
        if total.unanswered > 0 {
            notes.push(format!(
                "{} requests had no answer at the end: the latencies contain the time that they \
                 had waited",
                count(total.unanswered)
            ));
        }
        if let Some(asked) = self.threads.filter(|asked| *asked > measured.threads) {
            notes.push(format!(
                "-t {asked} was reduced to {}: a thread needs a connection",
                counted(measured.threads as u64, "thread", "threads")
            ));
        }
        let asked = self.duration.as_secs_f64();
        let is_cut = self.count.is_some() || measured.stopped.is_some();
        if !is_cut && measured.outcome.seconds > 0.0 && measured.outcome.seconds < asked / 2.0 {
            notes.push(format!(
                "only {} of {} were measured: for the rest of that time the connections were not ready, or this program did \
                 not run",
                time(measured.outcome.seconds * 1e9),
                tcpecho::internal::show_duration(self.duration)
            ));
        }
        notes.extend(self.remarks_of_pauses(measured));
        notes.extend(measured.outcome.notes.clone());
        notes.extend(measured.death.clone());
        notes
    }
}

impl Plan {
    /// What the generator's own standstills did to the figures.
    fn remarks_of_pauses(&self, measured: &Measured) -> Vec<String> {
        let outcome = &measured.outcome;
        let mut notes = Vec::new();
        let late = outcome.behind.filter(|_| !measured.is_known_to_start_late());
        notes.extend(late.map(|late| {
            format!("the connections were made {} after --start-at: the run began late", span(late))
        }));
        let paused = outcome.paused;
        if paused.stopped_ns > 0 {
            let (total, number) = (time(paused.stopped_ns as f64), times(paused.count));
            let left_out = match outcome.total.across_pauses {
                0 => String::new(),
                n => format!(", and {} service times that contain it are", count(n)),
            };
            let due = if measured.schedule.is_some() { "; response times contain it" } else { "" };
            notes.push(format!(
                "this program did not run for {total} ({number}: it was stopped, or had no \
                 processor): that is not in the measured time{left_out}{due}"
            ));
        }
        if paused.suspended_ns > 0 {
            let total = time(paused.suspended_ns as f64);
            notes.push(format!(
                "this machine was suspended for {total}: connections may have broken for this \
                 reason"
            ));
        }
        if outcome.seconds == 0.0 && measured.stopped.is_none() {
            notes.push(
                "the measured time was over before this program could begin to measure".to_owned(),
            );
        }
        if let Some(asked) = self.share() {
            let never = asked.saturating_sub(outcome.requests);
            if never > 0 && measured.stopped.is_none() && self.warmup.is_zero() {
                notes.push(format!(
                    "{} of {} requested messages were not sent: no answer came for too long",
                    count(never),
                    count(asked)
                ));
            }
        }
        notes
    }
}

impl Measured<'_> {
    /// Whether a remark made before the run says so already.
    fn is_known_to_start_late(&self) -> bool {
        self.remarks.iter().any(|remark| remark.starts_with("--start-at"))
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
