//! `tcpecho serve --fault list`: the faults that have a name.

use std::process::ExitCode;

use tcpecho::{FaultPlan, FaultWhen, PRESETS};

use crate::{
    output,
    width::{hang, stdout_columns},
};

/// Prints the table of presets: how each is written, how a client's connection ends, and what the server does.
pub(super) fn list() -> ExitCode {
    let (mut table, width) = (String::new(), stdout_columns().unwrap_or(usize::MAX));
    for preset in PRESETS {
        let equals = if preset.parameter.is_empty() { "" } else { "=" };
        let name = format!("{}{equals}{}", preset.name, preset.parameter);
        let begin = format!("{name:<17} {:<15} ", preset.ending.word());
        hang(&mut table, &begin, &" ".repeat(begin.len()), preset.sentence, width);
    }
    ExitCode::from(output::print_text(&table, None).map_or_else(|why| why.status(0), |()| 0))
}

/// The fault of a plan with one rule, for the connections of `when`; `None` if the plan says itself which ones.
pub(super) fn with_condition(plan: &FaultPlan, when: FaultWhen) -> Option<FaultPlan> {
    match plan.rules() {
        [(FaultWhen::All, script)] => Some(FaultPlan::new(when, script.clone())),
        _ => None,
    }
}
