//! What a run came to, for people and programs. The forms below all read the same [`Measured`].

pub(super) mod table;

use super::{
    args::Plan,
    crew::{Interval, Outcome},
    histogram::QUANTILES,
    machine::Fact,
    pace::Pace,
    server::Ledger,
    tally::Tally,
    threshold::Figures,
    watch,
    workload::{Kind, Unit},
};

/// A stretch of the measured time, in few numbers, so that long runs stay small.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Seconds from the start of the measured time.
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) messages: u64,
    pub(super) received: u64,
    pub(super) connections: u64,
    pub(super) errors: u64,
    /// Nanoseconds: of the response times where there is a schedule, else of the service times.
    pub(super) p50: Option<u64>,
    pub(super) p99: Option<u64>,
    pub(super) max: Option<u64>,
    /// Requests a second that were due in its middle.
    pub(super) offered: Option<f64>,
}

impl Row {
    pub(super) fn of(interval: &Interval, pace: Option<Pace>, warmup: u64) -> Self {
        let Interval { from, to, tally } = interval;
        let latency = tally.latency();
        let middle = warmup + u64::midpoint(*from, *to);
        Row {
            from: *from as f64 / 1e9,
            to: *to as f64 / 1e9,
            messages: tally.messages,
            received: tally.received,
            connections: tally.connections,
            errors: tally.error_count(),
            p50: latency.quantile(0.5),
            p99: latency.quantile(0.99),
            max: latency.max(),
            offered: pace.map(|pace| pace.rate_at(middle)),
        }
    }

    /// Units a second.
    pub(super) fn throughput(&self, unit: Unit) -> f64 {
        let seconds = (self.to - self.from).max(1e-9);
        match unit {
            Unit::Megabytes => self.received as f64 / 1e6 / seconds,
            _ => self.messages as f64 / seconds,
        }
    }
}

/// All there is to say of one run against one server.
pub(super) struct Measured<'a> {
    pub(super) plan: &'a Plan,
    /// The server in words, and its processors if we chose them.
    pub(super) server: String,
    /// The driver that was used, and the threads.
    pub(super) driver: &'static str,
    pub(super) threads: usize,
    pub(super) outcome: Outcome,
    pub(super) ledger: Ledger,
    pub(super) rows: Vec<Row>,
    /// How the server ended, if it did.
    pub(super) death: Option<String>,
    pub(super) facts: Vec<Fact>,
    /// What may have spoiled the run, known beforehand or seen.
    pub(super) remarks: Vec<String>,
}

impl Measured<'_> {
    pub(super) fn total(&self) -> &Tally {
        &self.outcome.total
    }

    pub(super) fn unit(&self) -> Unit {
        self.plan.workload.unit
    }

    /// How many units were counted.
    pub(super) fn units(&self) -> f64 {
        match (self.plan.workload.kind, self.unit()) {
            (Kind::Idle, _) => self.outcome.open as f64,
            (_, Unit::Megabytes) => self.total().received as f64 / 1e6,
            _ => self.total().messages as f64,
        }
    }

    /// Units a second.
    pub(super) fn throughput(&self) -> f64 {
        if self.outcome.seconds > 0.0 { self.units() / self.outcome.seconds } else { 0.0 }
    }

    /// Nanoseconds of the server's processor time for each unit.
    pub(super) fn server_cost(&self) -> Option<f64> {
        self.ledger.cpu_ns.filter(|_| self.units() > 0.0).map(|cpu| cpu / self.units())
    }

    /// How much of one processor the server used.
    pub(super) fn server_share(&self) -> Option<f64> {
        let seconds = self.outcome.seconds;
        self.ledger.cpu_ns.filter(|_| seconds > 0.0).map(|cpu| cpu / 1e9 / seconds)
    }

    /// Nanoseconds of the generator's processor time for each unit.
    pub(super) fn client_cost(&self) -> Option<f64> {
        let busy: u64 = self.outcome.client.iter().map(|used| used.busy).sum();
        (self.units() > 0.0).then(|| busy as f64 / self.units())
    }

    /// The server's memory for each connection, in bytes of PSS.
    pub(super) fn memory_each(&self) -> Option<f64> {
        let (before, held) = (self.ledger.memory_before?, self.ledger.memory_held?);
        (self.outcome.open > 0).then(|| (held - before) / self.outcome.open as f64)
    }

    /// Errors while connections were made, and after.
    pub(super) fn errors(&self) -> Tally {
        let mut errors = self.outcome.connecting.clone();
        errors.add_aside(self.total());
        errors
    }

    pub(super) fn error_count(&self) -> u64 {
        self.outcome.connecting.error_count() + self.total().error_count()
    }

    /// What the run itself showed that a reader must know.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut findings = self.remarks.clone();
        if self.plan.workload.kind != Kind::Idle {
            findings.extend(watch::verdict(&self.outcome.client, self.server_share()));
        }
        let total = self.total();
        if total.due > 0 && total.late_max > 1_000_000 {
            findings.push(format!(
                "the client came late to requests that were due, by {} at most and {} on average; \
                 response times contain that",
                time(total.late_max as f64),
                time(total.late_sum as f64 / total.due as f64),
            ));
        }
        if total.unanswered > 0 {
            findings.push(format!(
                "{} requests had no answer at the end: they are in the latencies with the time they \
                 had waited so far",
                count(total.unanswered)
            ));
        }
        findings.extend(self.death.clone());
        findings
    }

    pub(super) fn figures(&self) -> Figures {
        let latency = self.total().latency();
        let all = QUANTILES.iter().map(|(_, q)| latency.quantile(*q).map(|ns| ns as f64));
        Figures {
            quantiles: all.collect(),
            max: latency.max().map(|ns| ns as f64),
            mean: latency.mean(),
            throughput: Some(self.throughput()),
            errors: Some(self.error_count() as f64),
        }
    }
}

/// Nanoseconds in a unit that suits them, with three digits: `1.23 ms`.
pub(super) fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n >= 1e9 => (n / 1e9, "s"),
        n if n >= 1e6 => (n / 1e6, "ms"),
        n if n >= 1e3 => (n / 1e3, "µs"),
        n => (n, "ns"),
    };
    format!("{} {unit}", digits(value))
}

/// Three digits that matter.
pub(super) fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 || size == 0.0 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A whole number in groups of three.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate: whole where it is large.
pub(super) fn rate(value: f64) -> String {
    if value >= 1000.0 { count(value.round() as u64) } else { digits(value) }
}

/// Bytes in a unit that suits them.
pub(super) fn bytes(value: f64) -> String {
    match value.abs() {
        size if size >= 1e9 => format!("{} GB", digits(value / 1e9)),
        size if size >= 1e6 => format!("{} MB", digits(value / 1e6)),
        size if size >= 1e4 => format!("{} kB", digits(value / 1e3)),
        _ => format!("{value:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!(time(1_234_000.0), "1.23 ms");
        assert_eq!(time(99_960.0), "100 µs");
        assert_eq!(time(15.0), "15.0 ns");
        assert_eq!(
            (count(0), count(999), count(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!((rate(12_345.6), rate(0.5)), ("12,346".into(), "0.50".into()));
        assert_eq!(bytes(64.0), "64 B");
    }
}
