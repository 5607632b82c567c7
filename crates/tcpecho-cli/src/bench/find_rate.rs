//! The highest rate at which a condition holds: as fast as the server goes in a closed loop first, then
//! halving the range, every step a run of its own.

use tcpecho_load::Schedule;

use super::{
    args::Plan,
    progress::Progress,
    report::{Summary, summary::Distribution},
    visit::{self, BenchError, Setup},
};
use crate::units::{rate, time};
use crate::{signals::Signals, tell::say, threshold::Threshold};

/// The search ends when the range is this narrow.
const NARROW: f64 = 1.05;
/// Or after so many steps.
const STEPS: usize = 12;
/// A step during which this program itself was paused is made again, so often in all.
const TRIES: usize = 3;
/// A server that answers less than this share of what is due does not hold the rate.
const KEPT_UP: f64 = 0.98;

/// What the search came to: the run at the highest rate that held, or else the last that did not.
pub(super) struct Found {
    pub(super) summary: Summary,
    /// None where the condition held at no rate.
    pub(super) rate: Option<f64>,
}

pub(super) fn run(
    plan: &Plan,
    condition: &Threshold,
    setup: &mut Setup,
    signals: &Signals,
) -> Result<Found, BenchError> {
    let mut progress = Progress::new(plan.quiet, Some(plan.duration));
    progress.label("closed loop".to_owned());
    let mut step = |schedule: Option<Schedule>| -> Result<Summary, BenchError> {
        let label = match schedule {
            Some(Schedule::Steady(per_second)) => format!("at {}/s", rate(per_second)),
            _ => "closed loop".to_owned(),
        };
        progress.label(label);
        let unit = plan.workload.unit.words();
        let mut tries = 0;
        loop {
            tries += 1;
            let measured = visit::visit_at(plan, schedule, setup, signals, &mut |event, row| {
                progress.see(event, row, unit);
            })?;
            progress.clear();
            let summary = Summary::of(&measured);
            let paused = summary.client.pauses.is_some_and(|pauses| pauses.count > 0);
            if !paused || tries == TRIES || summary.result.interrupted_by.is_some() {
                return Ok(summary);
            }
            // What this program missed is not the server's fault.
            if !plan.quiet {
                say("this program was paused during the last step: it is made again");
            }
        }
    };
    let closed = step(None)?;
    let most = closed.result.throughput_per_s;
    if !plan.quiet {
        say(&format!("closed loop: {}/s", rate(most)));
    }
    let mut found = Found { rate: None, summary: closed };
    // A little above: a closed loop waits for its answers.
    let (mut low, mut high) = (0.0, most * 1.25);
    for _ in 0..STEPS {
        if found.summary.result.interrupted_by.is_some() || high < 1.0 {
            break;
        }
        if low > 0.0 && high / low < NARROW {
            break;
        }
        let at = if low > 0.0 { f64::midpoint(low, high) } else { high * 0.7 };
        let summary = step(Some(Schedule::Steady(at)))?;
        let stopped = summary.result.interrupted_by.is_some();
        let held = !stopped && holds(condition, &summary, at);
        if !plan.quiet {
            say(&describe(condition, &summary, at, held));
        }
        if held {
            (low, found.rate) = (at, Some(at));
        } else {
            high = at;
        }
        if held || found.rate.is_none() || stopped {
            found.summary = summary;
        }
    }
    Ok(found)
}

fn holds(condition: &Threshold, summary: &Summary, at: f64) -> bool {
    // Those that were under way at the end came a moment too late to be counted.
    let answered = summary.result.messages + summary.settings.connections.unwrap_or_default();
    let kept_up = answered as f64 >= at * summary.result.seconds * KEPT_UP
        && summary.result.messages_unanswered == Some(0);
    kept_up && summary.error_count() == 0 && condition.holds(&summary.figures(), None)
}

fn describe(condition: &Threshold, summary: &Summary, at: f64, held: bool) -> String {
    let verdict = if held { "holds" } else { "does not hold" };
    let p99 = summary.primary().map(Distribution::p99);
    let p99 = p99.map_or_else(String::new, |ns| format!(", p99 {}", time(ns as f64)));
    let answered = rate(summary.result.throughput_per_s);
    format!("at {}/s: {condition} {verdict}; {answered}/s answered{p99}", rate(at))
}
