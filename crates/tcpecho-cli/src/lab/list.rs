//! `tcpecho lab list`: every scenario and trial, in groups.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Args;
use serde::Serialize;
use tcpecho_lab::{
    Side,
    scenario::{SCENARIOS, Scenario},
    text::{Group, Text},
    trial::{self, Trial},
};

use super::{
    all_names,
    ladder::{BOLD, Look},
    names, refuse,
};
use crate::{
    output,
    width::{columns, hang},
};

/// What the letters in the list mean.
const LEGEND: &str = "C: takes your client, S: your server, B: both together; *: only with one";

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only names with this text in them, or that match it if it has `*` or `?`; or a group
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,

    /// Write a JSON object (tcpecho schema lab-list)
    #[arg(long)]
    json: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct List {
    scenarios: Vec<Entry>,
}

/// A scenario, or a trial that no scenario has.
#[derive(Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "they are the fields of the object")]
struct Entry {
    name: &'static str,
    group: &'static str,
    title: &'static str,
    source: &'static str,
    /// Whether it takes a client of the user.
    client: bool,
    server: bool,
    both: bool,
    /// Whether it needs one.
    needs_program: bool,
}

impl Entry {
    fn new(text: &Text) -> Self {
        let takes = |sides: &[Side]| Trial::named(text.name, sides).is_some();
        Entry {
            name: text.name,
            group: names::group_of(text).words(),
            title: text.title,
            source: text.source,
            client: takes(&[Side::Client]),
            server: takes(&[Side::Server]),
            both: takes(&Side::BOTH),
            needs_program: Scenario::named(text.name).is_none(),
        }
    }

    fn is_wanted(&self, pattern: &str) -> bool {
        if names::is_glob(pattern) {
            names::matches(pattern, self.name)
        } else {
            let is_ours = |group: &Group| group.words() == self.group;
            let mut groups = Group::ALL.into_iter().filter(is_ours);
            self.name.contains(pattern) || groups.any(|group| names::is_group(pattern, group))
        }
    }

    /// `C`, `S`, `B` and `*`, or spaces.
    fn letters(&self) -> String {
        let letter = |takes, letter| if takes { letter } else { ' ' };
        let takes = [letter(self.client, 'C'), letter(self.server, 'S'), letter(self.both, 'B')];
        takes.into_iter().chain([letter(self.needs_program, '*')]).collect()
    }
}

pub(super) fn list(args: &ListArgs) -> ExitCode {
    let own = trial::all().map(|trial| &trial.text);
    let own = own.filter(|text| Scenario::named(text.name).is_none());
    let texts = SCENARIOS.iter().map(|scenario| &scenario.text).chain(own);
    let mut scenarios: Vec<Entry> = texts.map(Entry::new).collect();
    if let Some(pattern) = &args.pattern {
        scenarios.retain(|entry| entry.is_wanted(pattern));
        if scenarios.is_empty() {
            let hint = names::hint(pattern, all_names());
            return refuse(format!("no scenario matches '{}'{hint}", pattern.escape_debug()));
        }
    }
    let page = if args.json {
        // It has no map with other keys than strings, and no number that JSON has not.
        serde_json::to_string_pretty(&List { scenarios }).unwrap_or_default() + "\n"
    } else {
        let look = Look::of_stdout();
        let width = if io::stdout().is_terminal() { columns() } else { usize::MAX };
        text(&scenarios, look, width)
    };
    ExitCode::from(output::print(&page, None).map_or_else(|why| why.status(0), |()| 0))
}

fn text(scenarios: &[Entry], look: Look, width: usize) -> String {
    let longest = scenarios.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let mut page = String::new();
    for group in Group::ALL {
        let mut entries = scenarios.iter().filter(|entry| entry.group == group.words()).peekable();
        if entries.peek().is_none() {
            continue;
        }
        let _ = writeln!(page, "{}", look.paint(BOLD, group.words()));
        for entry in entries {
            let first = format!("  {:<longest$}  {}  ", entry.name, entry.letters());
            let rest = " ".repeat(first.len());
            hang(&mut page, &first, &rest, entry.title, width);
        }
    }
    hang(&mut page, "", "  ", LEGEND, width);
    page
}
