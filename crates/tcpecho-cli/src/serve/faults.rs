//! `tcpecho serve --fault list`: the faults that have a name.

use std::{fmt::Write, process::ExitCode};

use tcpecho::PRESETS;

use crate::output;

/// Prints the table of presets: how each is written, how a client's connection ends, and what the server does.
pub(super) fn list() -> ExitCode {
    let mut table = String::new();
    for preset in PRESETS {
        let equals = if preset.parameter.is_empty() { "" } else { "=" };
        let name = format!("{}{equals}{}", preset.name, preset.parameter);
        let _ = writeln!(table, "{name:<17} {:<15} {}", preset.ending.word(), preset.sentence);
    }
    ExitCode::from(output::print_text(&table, None).map_or_else(|why| why.status(0), |()| 0))
}
