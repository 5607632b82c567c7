//! The largest probe that comes back: where the path loses long packets without a word, short ones still pass (RFC 2923).

use super::{
    Finding, Writer,
    search::Search,
    trial::{Fate, Stop, Trial},
};
use crate::ping::words::{counted, ms};

/// The first size, in bytes.
const FIRST: u64 = 64;

/// Tries sizes up to `most`.
pub(super) fn sweep(
    trial: &mut Trial<'_>,
    most: usize,
    writer: &mut Writer<'_>,
) -> Result<Finding, Stop> {
    let mut search = Search::new(FIRST, most as u64, u64::MAX, 1);
    let mut finding = Finding::Size { passes: 0, fails: None, acknowledged: None, overhead: None };
    while let Some(size) = search.next() {
        let mut link = trial.connect(usize::try_from(size).unwrap_or(usize::MAX))?;
        let fate = trial.probe(&mut link)?;
        match &fate {
            Fate::Back { time, retransmits } => {
                search.holds(size);
                let again = match retransmits {
                    0 => String::new(),
                    count => {
                        let count = counted(u64::from(*count), "retransmit", "retransmits");
                        format!(" after {count}")
                    }
                };
                writer.step(size, true, &format!("passes, time={} ms{again}", ms(*time)))?;
            }
            Fate::Changed => return Ok(Finding::Dead(fate)),
            Fate::Silence { .. } | Fate::Ended(_) => {
                search.fails(size);
                writer.step(size, false, &format!("does not pass: {}", super::words(&fate)))?;
            }
        }
        if let Finding::Size { passes, fails, acknowledged, overhead } = &mut finding {
            (*passes, *fails) = (search.good(), search.bad());
            if let Fate::Silence { acknowledged: heard, .. } = fate {
                *acknowledged = heard;
            }
            *overhead = link
                .info()
                .and_then(|info| info.pmtu.checked_sub(info.snd_mss))
                .filter(|&bytes| is_headers(bytes));
        }
    }
    Ok(finding)
}

/// IP and TCP headers with their options; on loopback segments are smaller than packets might be, for other reasons.
fn is_headers(bytes: u32) -> bool {
    (40..=120).contains(&bytes)
}
