//! Finds how long a connection may be idle (RFC 5382: translators and load balancers drop idle connections).

use std::time::Duration;

use tcpecho::Ending;

use super::{Finding, Stop, search::Search, trial::Trial};
use crate::step::{ProbeResult, Seen, Step, Tried};

/// The first idle time, in milliseconds.
const FIRST_MS: u64 = 1000;
/// The result is right to a twentieth, or to the grain.
const PRECISION: u64 = 20;
const GRAIN_MS: u64 = 50;

/// Tries idle times up to `most`. `finding` is what is proven so far.
pub(super) fn sweep(
    trial: &mut Trial<'_>,
    most: Duration,
    size: usize,
    finding: &mut Option<Finding>,
) -> Result<(), Stop> {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    let mut search = Search::new(FIRST_MS, most, PRECISION, GRAIN_MS);
    let mut how = None;
    while let Some(idle_ms) = search.next() {
        let idle = Duration::from_millis(idle_ms);
        let mut link = trial.connect(size)?;
        // A server that does not answer at once says nothing about idleness.
        let result = trial.probe(&mut link)?;
        if !matches!(result, ProbeResult::Answered { .. }) {
            *finding = Some(Finding::Dead(result));
            return Ok(());
        }
        let (at, broken) = trial.rest(&mut link, idle)?;
        if let Some(broken) = broken {
            let how = Some(word_of(broken.ending()));
            *finding = Some(Finding::Idle { alive: at, dead: Some(at), how });
            let seen = Seen::EndedIdle { after: at, broken: &broken };
            return trial.report(&Step { tried: Tried::Idle(idle), holds: false, seen });
        }
        // It may have been idle for longer than intended.
        let idle_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX).max(idle_ms);
        let result = trial.probe(&mut link)?;
        match &result {
            ProbeResult::Answered { .. } => {
                search.holds(idle_ms);
            }
            ProbeResult::Changed => {
                *finding = Some(Finding::Dead(result));
                return Ok(());
            }
            ProbeResult::Silence { .. } | ProbeResult::Ended(_) => {
                search.fails(idle_ms);
                how = Some(match &result {
                    ProbeResult::Ended(broken) if broken.ending() == Ending::Reset => {
                        "reset on use"
                    }
                    ProbeResult::Ended(broken) => broken.ending().word(),
                    _ => "silent",
                });
            }
        }
        let dead = search.bad().map(Duration::from_millis);
        *finding = Some(Finding::Idle { alive: Duration::from_millis(search.good()), dead, how });
        let tried = Tried::Idle(Duration::from_millis(idle_ms));
        let holds = matches!(result, ProbeResult::Answered { .. });
        trial.report(&Step { tried, holds, seen: Seen::Probe(&result) })?;
    }
    Ok(())
}

fn word_of(ending: Ending) -> &'static str {
    match ending {
        Ending::ClosedEarly => "FIN",
        Ending::Reset => "RST",
        other => other.word(),
    }
}
