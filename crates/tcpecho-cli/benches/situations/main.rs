//! Five clients in every situation of the diagnosis test, side by side: what each says, its exit status, and how long it
//! takes. `cargo bench --bench situations > docs/situations.md` makes the page anew; a word after `--` chooses
//! situations by name. Who is not installed is left out, and said so.

#[path = "../../tests/situations/mod.rs"]
mod situations;

mod page;
mod tools;

use std::{process::ExitCode, time::Duration};

use situations::{Situation, Tool, all_in_parallel, play, situations};
use tcpecho_lab::{Exit, doctor, program::words};
use tools::{installed, missing};

/// Whoever has not ended by then hangs, as far as a user is concerned. The hosts' kernels are impatient where a
/// situation is about time: nothing here would take them longer than four seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one client made of one situation.
struct Cell {
    tool: &'static str,
    /// In words: the exit status, the signal, or that it hung.
    end: String,
    took: Duration,
    hung: bool,
    status: Option<i32>,
    /// What it said, or why it could not be asked.
    said: String,
}

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let way = match doctor::best() {
        Ok(way) => way,
        Err(findings) => {
            eprintln!("SKIP: no lab here: {findings:?}");
            return ExitCode::from(77);
        }
    };
    if let Err(failed) = way.enter() {
        eprintln!("SKIP: {failed}");
        return ExitCode::from(77);
    }
    let mut rows = situations();
    rows.retain(|row| filter.as_ref().is_none_or(|filter| row.name.contains(filter.as_str())));
    rows.retain(|row| row.lacks().is_none());
    let tools = installed();
    let plays: Vec<(&Situation, &Tool)> =
        rows.iter().flat_map(|row| tools.iter().map(move |tool| (row, *tool))).collect();
    let cells = all_in_parallel(&plays, 8, |(row, tool)| {
        let cell = match play(row, tool, way.cable(), PATIENCE) {
            Ok(outcome) => Cell {
                tool: tool.name,
                end: match outcome.exit {
                    Some(Exit::Exited(status)) => format!("exit {status}"),
                    Some(exit) => words(exit),
                    None => "hung".into(),
                },
                took: outcome.took,
                hung: outcome.exit.is_none(),
                status: match outcome.exit {
                    Some(Exit::Exited(status)) => Some(status),
                    _ => None,
                },
                said: outcome.said,
            },
            // It ended before the situation could be brought about, or would not go into it.
            Err(broken) => Cell {
                tool: tool.name,
                end: "not played".into(),
                took: Duration::ZERO,
                hung: false,
                status: None,
                said: broken.to_string(),
            },
        };
        eprintln!("{:34} {:8} {} {:.1?}", row.name, tool.name, cell.end, cell.took);
        cell
    });
    let table: Vec<(&Situation, &[Cell])> = rows.iter().zip(cells.chunks(tools.len())).collect();
    print!("{}", page::page(&table, &tools, &missing()));
    ExitCode::SUCCESS
}
