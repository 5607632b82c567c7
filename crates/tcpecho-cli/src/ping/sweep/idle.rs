//! After how long an idle connection dies, and how (RFC 5382: what translators and balancers forget).

use std::time::Duration;

use tcpecho::Ending;

use super::{
    Finding, Writer,
    search::Search,
    trial::{Fate, Stop, Trial},
};
use crate::ping::words::ms;

/// The first idle time, in milliseconds.
const FIRST_MS: u64 = 1000;
/// Within a twentieth, and not closer than this.
const PRECISION: u64 = 20;
const GRAIN_MS: u64 = 50;

/// Tries idle times up to `most`.
pub(super) fn sweep(
    trial: &mut Trial<'_>,
    most: Duration,
    size: usize,
    writer: &mut Writer<'_>,
) -> Result<Finding, Stop> {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    let mut search = Search::new(FIRST_MS, most, PRECISION, GRAIN_MS);
    let mut how = None;
    while let Some(idle_ms) = search.next() {
        let idle = Duration::from_millis(idle_ms);
        let mut link = trial.connect(size)?;
        // What does not answer even before it was idle cannot be blamed on idleness.
        let fate = trial.probe(&mut link)?;
        if !matches!(fate, Fate::Back { .. }) {
            return Ok(Finding::Dead(fate));
        }
        let (at, broken) = trial.rest(&mut link, idle)?;
        if let Some(broken) = broken {
            let (word, op, said) = (broken.ending(), broken.op, broken.said());
            writer.step(idle_ms, false, &format!("{word} after {} ms: {op}: {said}", ms(at)))?;
            return Ok(Finding::Idle { alive: at, dead: Some(at), how: Some(word_of(word)) });
        }
        // It may have been idle for longer than was wanted.
        let idle_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX).max(idle_ms);
        let fate = trial.probe(&mut link)?;
        match &fate {
            Fate::Back { time, .. } => {
                search.holds(idle_ms);
                writer.step(idle_ms, true, &format!("alive, time={} ms", ms(*time)))?;
            }
            Fate::Changed => return Ok(Finding::Dead(fate)),
            Fate::Silence { .. } | Fate::Ended(_) => {
                search.fails(idle_ms);
                writer.step(idle_ms, false, &format!("dead: {}", super::words(&fate)))?;
                how = Some(match &fate {
                    Fate::Ended(broken) if broken.ending() == Ending::Reset => "reset on use",
                    Fate::Ended(broken) => broken.ending().word(),
                    _ => "silent",
                });
            }
        }
    }
    let dead = search.bad().map(Duration::from_millis);
    Ok(Finding::Idle { alive: Duration::from_millis(search.good()), dead, how })
}

fn word_of(ending: Ending) -> &'static str {
    match ending {
        Ending::ClosedEarly => "FIN",
        Ending::Reset => "RST",
        other => other.word(),
    }
}
