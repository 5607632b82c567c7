//! `tcpecho schema`: the JSON schemas of what the program writes.

use std::{fmt::Write, process::ExitCode};

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser},
};

use crate::output;

/// Print the JSON schema of what a command writes; without NAME, list them
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Which schema
    #[arg(value_parser = names())]
    name: Option<String>,
}

/// A schema: its name, what writes such an object, its text.
type Row = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const SCHEMAS: &[Row] = &[
    ("connect", "connect --json", include_str!("../../schema/connect.json")),
    ("failure", "--json, where a command fails before it has a result", include_str!("../../schema/failure.json")),
    ("ping", "ping --json and --json-stream", include_str!("../../schema/ping.json")),
    ("bench", "bench --json, for one server", include_str!("../../schema/bench.json")),
    ("bench-comparison", "bench --json, for several servers", include_str!("../../schema/bench-comparison.json")),
    ("lab-list", "lab list --json", include_str!("../../schema/lab-list.json")),
];

fn names() -> PossibleValuesParser {
    SCHEMAS.iter().map(|row| PossibleValue::new(row.0).help(row.1)).collect::<Vec<_>>().into()
}

/// Prints the schema, or the list.
pub(crate) fn run(args: &SchemaArgs) -> ExitCode {
    let mut text = String::new();
    for (name, what, schema) in SCHEMAS {
        match &args.name {
            None => {
                let _ = writeln!(text, "{name:<18}{what}");
            }
            Some(wanted) if wanted == name => text.push_str(schema),
            Some(_) => {}
        }
    }
    ExitCode::from(output::print(&text, None).map_or_else(|why| why.status(0), |()| 0))
}
