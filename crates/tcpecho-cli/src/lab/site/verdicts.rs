//! Verdicts on programs: programs side by side, then each with what was observed.

use std::fmt::Write;

use crate::{
    lab::verdicts::{Row, Table, shortened},
    markup::escaped,
    page::scrolled,
};

/// The longest command line of a program that is shown.
const COMMAND: usize = 200;
/// The longest line of a program that is shown.
const SAID: usize = 200;

/// Writes every table; `link` makes a trial's name a link.
pub(super) fn write(page: &mut String, tables: &[Table], link: &dyn Fn(&str) -> String) {
    for role in ["client", "server"] {
        let tables: Vec<&Table> = tables.iter().filter(|table| table.role == role).collect();
        if tables.len() > 1 {
            together(page, role, &tables, link);
        }
        for table in tables {
            alone(page, table, link);
        }
    }
    // A role that a later version may have.
    let is_other = |table: &&Table| !["client", "server"].contains(&table.role.as_str());
    for table in tables.iter().filter(is_other) {
        alone(page, table, link);
    }
}

/// The programs of a role side by side.
fn together(page: &mut String, role: &str, tables: &[&Table], link: &dyn Fn(&str) -> String) {
    let mut trials: Vec<(&str, &str)> = Vec::new();
    for row in tables.iter().flat_map(|table| &table.trials) {
        let trial = (row.name.as_str(), row.family.as_str());
        if !trials.contains(&trial) {
            trials.push(trial);
        }
    }
    let mut body = String::from("<table class=\"text\"><thead><tr><th scope=\"col\">trial</th>");
    for table in tables {
        let command = escaped(&shortened(&table.command, COMMAND));
        let _ = write!(body, "<th scope=\"col\"><code>{command}</code></th>");
    }
    body.push_str("</tr></thead><tbody>");
    for (name, family) in trials {
        let _ = write!(body, "<tr><th scope=\"row\">{} {}</th>", link(name), escaped(family));
        for table in tables {
            let row = table.trials.iter().find(|row| row.name == name && row.family == family);
            let cell = row.map_or_else(|| "-".to_owned(), verdict);
            let _ = write!(body, "<td>{cell}</td>");
        }
        body.push_str("</tr>");
    }
    let title = format!("All {role}s");
    let body = scrolled(&title, &(body + "</tbody></table>"));
    let _ = write!(page, "<section class=\"card\"><h2>{title}</h2>{body}</section>");
}

fn alone(page: &mut String, table: &Table, link: &dyn Fn(&str) -> String) {
    let (role, command) = (escaped(&table.role), escaped(&shortened(&table.command, COMMAND)));
    let _ = write!(
        page,
        "<section class=\"card\"><h2><code>{command}</code> <small>as a {role}: {} of {} right</small></h2>",
        table.right, table.of
    );
    let mut body = String::from("<table class=\"text\"><thead><tr>");
    for title in ["trial", "verdict", "noticed after", "end", "remarks"] {
        let _ = write!(body, "<th scope=\"col\">{title}</th>");
    }
    body.push_str("</tr></thead><tbody>");
    for row in &table.trials {
        let _ = write!(
            body,
            "<tr><th scope=\"row\">{} {}</th><td>{}</td><td>{}</td><td>{}</td><td class=\"words\">{}</td></tr>",
            link(&row.name),
            escaped(&row.family),
            verdict(row),
            row.noticed(),
            row.end(),
            escaped(&row.remarks(SAID))
        );
    }
    let name = format!("{} as a {}", shortened(&table.command, COMMAND), table.role);
    let _ = write!(page, "{}</section>", scrolled(&name, &(body + "</tbody></table>")));
}

/// The verdict with a sign, so that it does not depend on its colour.
fn verdict(row: &Row) -> String {
    let (class, sign) = if row.is_right() { ("held", "✓") } else { ("failed", "✗") };
    format!("<span class=\"{class}\">{sign} {}</span>", escaped(&row.verdict))
}
