//! Finds the largest probe that is echoed: a path may lose long packets silently (RFC 2923, PMTU black holes).

use super::{Finding, Stop, search::Search, trial::Trial};
use crate::step::{ProbeResult, Seen, Step, Tried};

/// The first size, in bytes.
const FIRST: u64 = 64;

/// Tries sizes up to `most`. `finding` is what is proven so far.
pub(super) fn sweep(
    trial: &mut Trial<'_>,
    most: usize,
    finding: &mut Option<Finding>,
) -> Result<(), Stop> {
    let mut search = Search::new(FIRST, most as u64, u64::MAX, 1);
    let mut acknowledged = None;
    while let Some(size) = search.next() {
        let mut link = trial.connect(usize::try_from(size).unwrap_or(usize::MAX))?;
        let result = trial.probe(&mut link)?;
        match &result {
            ProbeResult::Answered { .. } => search.holds(size),
            ProbeResult::Changed => {
                *finding = Some(Finding::Dead(result));
                return Ok(());
            }
            ProbeResult::Silence { acknowledged: heard, .. } => {
                acknowledged = *heard;
                search.fails(size);
            }
            ProbeResult::Ended(_) => search.fails(size),
        }
        let overhead = link
            .info()
            .and_then(|info| info.pmtu.checked_sub(info.snd_mss))
            .filter(|&bytes| is_headers(bytes));
        let (passes, fails) = (search.good(), search.bad());
        *finding = Some(Finding::Size { passes, fails, acknowledged, overhead });
        let holds = matches!(result, ProbeResult::Answered { .. });
        trial.report(&Step { tried: Tried::Size(size), holds, seen: Seen::Probe(&result) })?;
    }
    Ok(())
}

/// Returns whether this may be the size of IP and TCP headers with options. On loopback the MSS is smaller for other reasons.
fn is_headers(bytes: u32) -> bool {
    (40..=120).contains(&bytes)
}
