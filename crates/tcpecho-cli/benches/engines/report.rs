//! The figures as Markdown: a table for each mode, one over all modes, and one of the faults.

use crate::machine::Fact;
use crate::modes::{Better, Mode};
use crate::peers::{BASELINE, SECOND_BASELINE};

/// What one server did in one mode: figures by round and column, with NaN where there are none.
pub(crate) struct Row {
    pub(crate) server: String,
    pub(crate) rounds: Vec<Vec<f64>>,
    pub(crate) faults: Vec<String>,
}

pub(crate) struct Table {
    pub(crate) mode: &'static Mode,
    pub(crate) rows: Vec<Row>,
}

/// More faults of one server in one mode than this are only counted.
const SHOWN: usize = 3;

pub(crate) fn facts(facts: &[Fact]) {
    println!("| what | value |\n|---|---|");
    for (what, value) in facts {
        println!("| {what} | {value} |");
    }
    println!(
        "\nMedians over the rounds; in brackets the median of the ratios to the baseline of the same \
         round (above 1 is better). Spread: (highest - lowest) / median of the first column; \
         ratios: lowest to highest of its ratios. Server time: processor time used by its process, \
         threads and children. MB: 1 000 000 bytes."
    );
}

impl Table {
    pub(crate) fn print(&self) {
        println!("\n## {}: {}\n", self.mode.name, self.mode.summary);
        let titles: Vec<&str> = self.mode.columns.iter().map(|column| column.0).collect();
        println!("| server | {} | spread | ratios | faults |", titles.join(" | "));
        println!("|---|{}---|---|---|", "---|".repeat(titles.len()));
        for row in &self.rows {
            let cells: Vec<String> =
                (0..titles.len()).map(|column| self.cell(row, column)).collect();
            let (spread, ratios) = (spread(row), self.range(row));
            let faults = if row.faults.is_empty() { "" } else { "FAULT" };
            println!("| {} | {} | {spread} | {ratios} | {faults} |", row.server, cells.join(" | "));
        }
    }

    fn baseline(&self) -> Option<&Row> {
        let named = |name| self.rows.iter().find(|row| row.server == name);
        named(BASELINE).or_else(|| named(SECOND_BASELINE))
    }

    /// Paired by round, so that what the machine did meanwhile befell both.
    fn ratios(&self, row: &Row, column: usize) -> Vec<f64> {
        let Some(baseline) = self.baseline() else { return Vec::new() };
        let pairs = values(row, column).zip(values(baseline, column));
        let ratios: Vec<f64> = match self.mode.columns[column].1 {
            Better::More => pairs.map(|(value, base)| value / base).collect(),
            Better::Less => pairs.map(|(value, base)| base / value).collect(),
            Better::Neither => Vec::new(),
        };
        sorted(ratios.into_iter())
    }

    fn cell(&self, row: &Row, column: usize) -> String {
        let Some(value) = median(&sorted(values(row, column))) else {
            return if row.rounds.is_empty() { "n/a" } else { "-" }.to_owned();
        };
        match median(&self.ratios(row, column)) {
            Some(ratio) => format!("{} ({ratio:.2})", short(value)),
            None => short(value),
        }
    }

    fn range(&self, row: &Row) -> String {
        let ratios = self.ratios(row, 0);
        let ends = ratios.first().zip(ratios.last());
        ends.map(|(low, high)| format!("{low:.2}-{high:.2}")).unwrap_or_default()
    }
}

/// The first column of every mode, side by side.
pub(crate) fn summary(tables: &[Table]) {
    let names: Vec<&str> = tables.iter().map(|table| table.mode.name).collect();
    println!("\n## All modes, first column\n\n| server | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for (index, row) in tables.first().map_or(&[][..], |table| &table.rows).iter().enumerate() {
        let cells: Vec<String> = tables.iter().map(|t| t.cell(&t.rows[index], 0)).collect();
        println!("| {} | {} |", row.server, cells.join(" | "));
    }
}

/// Returns whether there were none.
pub(crate) fn faults(unready: &[(String, String)], tables: &[Table]) -> bool {
    println!("\n## Faults\n");
    let unready = unready.iter().map(|(server, reason)| format!("| {server} | start | {reason} |"));
    let lines: Vec<String> = unready.chain(tables.iter().flat_map(fault_lines)).collect();
    if lines.is_empty() {
        println!("None: all bytes came back, once and in order.");
        return true;
    }
    println!("| server | mode | what happened |\n|---|---|---|\n{}", lines.join("\n"));
    false
}

fn fault_lines(table: &Table) -> impl Iterator<Item = String> {
    let faulty = table.rows.iter().filter(|row| !row.faults.is_empty());
    faulty.map(|row| {
        let shown = row.faults.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        let more = row.faults.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        format!("| {} | {} | {shown}{more} |", row.server, table.mode.name)
    })
}

fn spread(row: &Row) -> String {
    let all = sorted(values(row, 0));
    match (all.first(), median(&all), all.last()) {
        (Some(low), Some(middle), Some(high)) if middle > 0.0 => {
            format!("{:.0} %", (high - low) / middle * 100.0)
        }
        _ => String::new(),
    }
}

fn values(row: &Row, column: usize) -> impl Iterator<Item = f64> {
    row.rounds.iter().map(move |figures| figures.get(column).copied().unwrap_or(f64::NAN))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Three digits or four, and a unit.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e7 => format!("{:.0}M", value / 1e6),
        size if size >= 1e6 => format!("{:.2}M", value / 1e6),
        size if size >= 1e4 => format!("{:.0}k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}
