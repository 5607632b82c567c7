//! Exit statuses. Those of a connection stand in the table of endings; here is the rest.

use nix::sys::signal::Signal;

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
