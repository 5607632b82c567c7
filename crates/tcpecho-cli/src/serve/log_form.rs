//! The forms of the log.

use clap::ValueEnum;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// One line of `key=value` pairs per connection
    Text,
    /// One JSON object per line (tcpecho schema serve-log)
    Json,
    /// No log and no counters
    Off,
}
