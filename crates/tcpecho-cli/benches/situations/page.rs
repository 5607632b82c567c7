//! The page: a summary, then each situation with what everybody said.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use super::{Cell, Situation, Tool, tools::versions};

pub(crate) fn page(table: &[(&Situation, &[Cell])], tools: &[&Tool], missing: &[&str]) -> String {
    let mut page = String::from(
        "# What five clients say when a connection fails\n\n\
         Made by `cargo bench --bench situations > docs/situations.md`. It creates each situation between two hosts of the lab,\n\
         starts the client with its stdin open, and observes how it ends. The hosts have short timers (`tcp_syn_retries` 1,\n\
         `tcp_retries2` 1 where a path is cut), so nothing here takes minutes. A client is *hung* if it has not ended ten seconds\n\
         after it could have noticed the failure. `tcpecho connect --exit-detail` has a deadline in some situations, which is shown.\n\
         The other commands are `ncat -v`, `nc -v` (OpenBSD), `socat STDIO TCP:…` and `curl -sS -N telnet://…`, as shown here.\n\
         `no-echo` and `byte-changed` are failures of an echo only: the other clients are right to see nothing wrong.\n\n",
    );
    for version in versions() {
        let _ = writeln!(page, "- {version}");
    }
    if !missing.is_empty() {
        let _ = writeln!(page, "- not installed, and left out: {}", missing.join(", "));
    }
    summary(&mut page, table, tools);
    for (situation, cells) in table {
        one(&mut page, situation, cells);
    }
    page
}

fn summary(page: &mut String, table: &[(&Situation, &[Cell])], tools: &[&Tool]) {
    let _ = writeln!(
        page,
        "\n| client | ended with a failure | exit 0 | hung | statuses that differ | not played |\n|---|---|---|---|---|---|"
    );
    for (number, tool) in tools.iter().enumerate() {
        let cells: Vec<&Cell> = table.iter().filter_map(|(_, cells)| cells.get(number)).collect();
        let count = |holds: fn(&Cell) -> bool| cells.iter().filter(|cell| holds(cell)).count();
        let statuses: BTreeSet<i32> = cells.iter().filter_map(|cell| cell.status).collect();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            tool.name,
            count(|cell| cell.status.is_some_and(|status| status != 0)),
            count(|cell| cell.status == Some(0)),
            count(|cell| cell.hung),
            statuses.iter().filter(|status| **status != 0).count(),
            count(|cell| cell.end == "not played"),
        );
    }
    let _ = writeln!(page, "\nOf {} situations, each a failure.", table.len());
}

fn one(page: &mut String, situation: &Situation, cells: &[Cell]) {
    let options = match situation.options {
        [] => String::new(),
        options => format!(" (`{}`)", options.join(" ")),
    };
    let _ = writeln!(page, "\n## {}\n\n{}.{options}\n", situation.name, capital(situation.what));
    let _ = writeln!(page, "| client | end | time | said |\n|---|---|---|---|");
    for cell in cells {
        let time = if cell.hung || cell.took.is_zero() { "-".into() } else { round(cell.took) };
        let _ = writeln!(page, "| {} | {} | {time} | {} |", cell.tool, cell.end, said(&cell.said));
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// To the tenth of a second: what is below is the machine's business.
fn round(span: Duration) -> String {
    if span < Duration::from_millis(100) {
        "at once".into()
    } else {
        format!("{:.1} s", span.as_secs_f64())
    }
}

/// In one cell of a Markdown table, without what differs from run to run.
fn said(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("Ncat: Version"))
        .map(without_noise)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.as_slice() {
        [] => "*nothing*".into(),
        lines => lines.join("<br>"),
    }
}

/// socat stamps its lines with time and process.
fn without_noise(line: &str) -> String {
    let line = line.trim().replace('|', "\\|").replace('<', "&lt;");
    match line.split_once("] ") {
        Some((stamp, rest)) if stamp.contains("socat[") => format!("socat: {rest}"),
        _ => line,
    }
}
