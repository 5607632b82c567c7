//! Exit statuses. docs/endings.md lists those of the endings, and `connect --help` those of `--exit-detail`.

use nix::sys::signal::Signal;
use tcpecho::{Ending, internal::ENDINGS};

/// Something other than the sent bytes came back.
pub(crate) const MISMATCH: u8 = 1;

/// Not understood, or not possible here; the same that clap uses for what it cannot parse.
pub(crate) const NOT_POSSIBLE: u8 = 2;

/// No address answered, whatever the reasons of each.
pub(crate) const NOT_CONNECTED: u8 = 3;

/// Ended by the user: the shell's own notation for a program that the signal ended.
pub(crate) fn interrupted_by(signal: Signal) -> u8 {
    match signal {
        // The reader of stdout left, which is no failure of a filter.
        Signal::SIGPIPE => 0,
        signal => 128 + signal as u8,
    }
}

/// Cannot be done on this host; the reason has been told.
pub(crate) const SKIPPED: u8 = 77;

/// The connection broke, whatever by.
pub(crate) const BROKEN: u8 = 4;

/// An ending, the exit status of a client whose connection ended so, and its exit status with `--exit-detail`.
type Row = (Ending, u8, u8);

#[rustfmt::skip]
const STATUSES: &[Row] = &[
    (Ending::Finished, 0, 0),
    (Ending::ResolveFailed, NOT_CONNECTED, 64),
    (Ending::Refused, NOT_CONNECTED, 65),
    (Ending::ConnectTimeout, NOT_CONNECTED, 66),
    (Ending::HostUnreachable, NOT_CONNECTED, 67),
    (Ending::NetworkUnreachable, NOT_CONNECTED, 68),
    (Ending::Forbidden, NOT_CONNECTED, 69),
    (Ending::NoLocalPort, NOT_CONNECTED, 70),
    (Ending::ClosedEarly, BROKEN, 71),
    (Ending::Reset, BROKEN, 72),
    (Ending::BrokenPipe, BROKEN, 73),
    (Ending::TimedOut, BROKEN, 74),
    (Ending::KeepaliveTimeout, BROKEN, 75),
    (Ending::Mismatch, MISMATCH, 76),
    // 77 says that a test was skipped.
    (Ending::Idle, BROKEN, 78),
    (Ending::Limit, NOT_CONNECTED, 79),
    (Ending::Draining, BROKEN, 80),
    (Ending::Fault, BROKEN, 83),
    (Ending::BadAddress, NOT_CONNECTED, 81),
    (Ending::LocalError, NOT_CONNECTED, 82),
    (Ending::Interrupted, 130, 130),
];

fn row(ending: Ending) -> Row {
    // The tests compare the table with that of the endings.
    STATUSES.iter().copied().find(|row| row.0 == ending).unwrap_or((ending, BROKEN, BROKEN))
}

/// Returns the exit status of a client whose connection ended so.
pub(crate) fn status(ending: Ending) -> u8 {
    row(ending).1
}

/// Returns the same with `--exit-detail`, where each ending has a status of its own.
pub(crate) fn detail_status(ending: Ending) -> u8 {
    row(ending).2
}

/// Returns the statuses of `--exit-detail`, each with its ending.
pub(crate) fn details() -> Vec<(String, String)> {
    let row = |row: &tcpecho::internal::Row| {
        (detail_status(row.ending).to_string(), format!("{}: {}", row.word, row.sentence))
    };
    ENDINGS.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_statuses_and_no_two_have_the_same_detail() {
        assert_eq!(STATUSES.len(), ENDINGS.len());
        for ending in ENDINGS.iter().map(|row| row.ending) {
            assert!(STATUSES.iter().any(|row| row.0 == ending), "{ending}");
            let detail = detail_status(ending);
            let alone = STATUSES.iter().filter(|row| row.2 == detail).count();
            assert_eq!(alone, 1, "{ending}");
            // 77 says that a test was skipped; 126 and above are the shell's.
            assert!(matches!(detail, 0 | 64..=76 | 78..=125 | 130), "{ending}");
        }
    }

    #[test]
    fn the_page_of_endings_lists_the_statuses() {
        let page = include_str!("../../../docs/endings.md");
        for row in ENDINGS {
            let (plain, detail) = (status(row.ending), detail_status(row.ending));
            let line = format!("| {} | {} | {plain} | {detail} |", row.word, row.sentence);
            assert!(page.contains(&line), "missing: {line}");
        }
    }
}
