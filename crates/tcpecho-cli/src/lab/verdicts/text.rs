//! The table as text: aligned columns, and in a terminal colours and lines that fit.

use std::{fmt::Write as _, io};

use tcpecho::internal::show_duration;
use tcpecho_lab::{Side, trial::Fault};

use super::{Row, Table, shortened};
use crate::{
    lab::{
        ladder::{BOLD, Look, wrap},
        verdict::BROKEN,
    },
    width::{hang, hang_command},
};

impl Table {
    /// One line for each trial, one for each kind of failure, and the total. In a terminal the lines
    /// fit, and the verdicts have colours.
    pub(in crate::lab) fn text(&self, out: &mut impl io::Write, look: Look) -> io::Result<()> {
        let time = if self.gallery { "time" } else { "noticed" };
        let columns = Columns::of(&self.trials, time, look.width);
        let mut page = String::new();
        let first = format!("{}: {}", self.role, shortened(&self.command, 200));
        paragraph(&mut page, &first, "    ", look.width);
        let headings = ["trial", "", "verdict", time, "end"];
        let heading = columns.line(headings, str::to_string);
        let (heading, has_room) = match look.width {
            Some(width) if width < columns.before_remarks() + ROOM => (heading, false),
            _ => (heading + "remarks", true),
        };
        page += &look.paint(BOLD, heading.trim_end());
        page.push('\n');
        for row in &self.trials {
            let cells: [&str; 5] =
                [&row.name, &row.family, &row.verdict, &row.noticed(), &row.end()];
            let paint = |verdict: &str| look.paint(row.colour(), verdict);
            let line = columns.line(cells, paint);
            let remarks = row.remarks(100);
            match look.width {
                None => page += format!("{line}{remarks}").trim_end(),
                Some(width) if has_room => {
                    let room = width - columns.before_remarks();
                    let indent = " ".repeat(columns.before_remarks());
                    let lines = wrap(&remarks, room).join(&format!("\n{indent}"));
                    page += format!("{line}{lines}").trim_end();
                }
                Some(width) => {
                    page += line.trim_end();
                    for line in wrap(&remarks, width.max(24) - 4) {
                        if !line.is_empty() {
                            let _ = write!(page, "\n    {line}");
                        }
                    }
                }
            }
            page.push('\n');
        }
        for (kind, command) in self.kinds() {
            // In a terminal the command has a line of its own, to be copied.
            if look.width.is_some() {
                paragraph(&mut page, &kind, "    ", look.width);
                hang_command(
                    &mut page,
                    "    ",
                    "      ",
                    &command,
                    look.width.unwrap_or(usize::MAX),
                );
            } else {
                let _ = writeln!(page, "{kind}; see {command}");
            }
        }
        let as_expected = self.trials.iter().filter(|row| row.is_as_expected()).count();
        let expected = if as_expected == self.right {
            String::new()
        } else {
            format!(", {as_expected} as expected")
        };
        let (right, of, seconds) = (self.right, self.of, self.seconds);
        let _ = writeln!(page, "{right} of {of} right{expected}, {seconds:.1} s");
        out.write_all(page.as_bytes())
    }

    /// Each kind of failure, the worst first: what it is, and the command that shows it.
    fn kinds(&self) -> Vec<(String, String)> {
        let faults = Fault::ALL.iter().rev().map(|(fault, _)| Some(*fault));
        let line = |fault: Option<Fault>| {
            let word = fault.map_or(BROKEN, Fault::word);
            let is_wrong = |row: &&Row| row.verdict == word && !row.is_as_expected();
            let rows: Vec<&Row> = self.trials.iter().filter(is_wrong).collect();
            let first = rows.first()?;
            let family = if first.family == "IPv6" { " --family 6" } else { "" };
            let port = self.port.map(|port| format!(" --port {port}")).unwrap_or_default();
            let (name, role) = (&first.name, &self.role);
            let command = quoted(&self.command);
            let sentence = fault
                .map_or("the trial could not be played to its end", |fault| sentence(fault, &rows));
            let is_interrupted =
                fault == Some(Fault::Died) && rows.iter().any(|row| row.was_interrupted());
            let hint = if is_interrupted { EINTR } else { "" };
            let see = if self.gallery {
                let deadline = self.deadline.map(show_duration);
                let deadline = deadline.map(|time| format!(" --deadline {time}"));
                format!(
                    "tcpecho lab test {name} --gallery --{role} {command}{family}{} --format json",
                    deadline.unwrap_or_default()
                )
            } else {
                format!("tcpecho lab run {name} --{role} {command}{port}{family}")
            };
            Some((format!("{word} ({}): {sentence}{hint}", rows.len()), see))
        };
        [None].into_iter().chain(faults).filter_map(line).collect()
    }
}

/// What explains the exit of a server whose call was interrupted.
const EINTR: &str = ", because a signal interrupted a call (tcpecho lab explain eintr-on-accept)";

/// A fault in one sentence, as these rows show it.
fn sentence(fault: Fault, rows: &[&Row]) -> &'static str {
    if fault == Fault::Died && rows.iter().all(|row| row.exit_status.is_some()) {
        return "exited, although a server does not end";
    }
    if fault == Fault::Died && rows.iter().all(|row| row.signal.is_some()) {
        return "was killed by a signal other than SIGPIPE";
    }
    let side = rows.first().map_or(Side::Client, |row| row.side());
    fault.sentence_for(side)
}

/// The widths of the columns of a table.
struct Columns {
    name: usize,
    /// 0 if all trials have the same family.
    family: usize,
    verdict: usize,
    /// 0 where there is no room.
    noticed: usize,
    end: usize,
}

/// In a terminal, remarks that would have less than this have lines of their own.
const ROOM: usize = 36;

impl Columns {
    fn of(rows: &[Row], time: &str, width: Option<usize>) -> Self {
        let longest = |of: fn(&Row) -> usize, heading: &str| {
            rows.iter().map(of).max().unwrap_or(0).max(heading.len())
        };
        let is_mixed = rows.windows(2).any(|pair| pair[0].family != pair[1].family);
        let mut columns = Columns {
            name: longest(|row| row.name.len(), "trial"),
            family: if is_mixed { "IPv4".len() } else { 0 },
            verdict: longest(|row| row.verdict.len(), "verdict"),
            noticed: longest(|row| row.noticed().len(), time),
            end: longest(|row| row.end().len(), "end"),
        };
        if width.is_some_and(|width| columns.before_remarks() > width + 2) {
            columns.noticed = 0;
        }
        columns
    }

    /// The columns before the remarks, and two spaces after each.
    fn before_remarks(&self) -> usize {
        let used = [self.name, self.family, self.verdict, self.noticed, self.end];
        used.into_iter().filter(|width| *width > 0).map(|width| width + 2).sum()
    }

    /// A line without its remarks; `paint` colours the verdict.
    fn line(&self, cells: [&str; 5], paint: impl Fn(&str) -> String) -> String {
        let [name, family, verdict, noticed, end] = cells;
        let mut line = format!("{name:<0$}  ", self.name);
        if self.family > 0 {
            let _ = write!(line, "{family:<0$}  ", self.family);
        }
        line += &paint(verdict);
        line += &" ".repeat(self.verdict.saturating_sub(verdict.len()) + 2);
        if self.noticed > 0 {
            let _ = write!(line, "{noticed:>0$}  ", self.noticed);
        }
        line + &format!("{end:<0$}  ", self.end)
    }
}

/// Appends a paragraph, wrapped at the width if there is one.
fn paragraph(page: &mut String, text: &str, indent: &str, width: Option<usize>) {
    if let Some(width) = width {
        hang(page, "", indent, text, width);
    } else {
        page.push_str(text);
        page.push('\n');
    }
}

/// Quotes a command for a shell.
fn quoted(command: &str) -> String {
    if command.contains('\'') && !command.contains(['"', '$', '`', '\\', '!']) {
        format!("\"{command}\"")
    } else {
        format!("'{}'", command.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_quoted_for_a_shell() {
        for (command, wanted) in [
            ("nc {host}", "'nc {host}'"),
            ("sh -c 'a b'", "\"sh -c 'a b'\""),
            ("sh -c 'echo $A'", "'sh -c '\\''echo $A'\\'''"),
        ] {
            assert_eq!(quoted(command), wanted);
        }
    }
}
