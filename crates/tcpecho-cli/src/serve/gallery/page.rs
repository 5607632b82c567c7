//! The page of the gallery: a table of the rows, and a section for each of them.

use std::{fmt::Write, net::SocketAddr};

use tcpecho::internal::STEPS;

use super::rows::Row;
use crate::{
    markup::escaped,
    page::{Origin, head, scrolled},
};

/// What the page says of the gallery itself.
pub(super) struct Page<'a> {
    pub(super) rows: &'a [Row],
    /// The address of the page; the rows follow it.
    pub(super) addr: SocketAddr,
    pub(super) seed: u64,
    pub(super) origin: &'a Origin,
}

impl Page<'_> {
    /// Returns the page as HTML.
    pub(super) fn html(&self) -> String {
        let mut page = head("Gallery of failing TCP servers");
        let (first, last) = (self.port(0), self.port(self.rows.len() - 1));
        let address = escaped(&self.addr.ip().to_string());
        let _ = write!(
            page,
            "<p>Each port from {first} to {last} of <code>{address}</code> is an echo server that fails in its own way. \
             The seed of everything random is {}. For programs: <a href=\"/gallery.json\">gallery.json</a>.</p>\n\
             <p>The ending is that of a client that sends a message, half-closes, and waits for the echo for a limited \
             time.</p>\n",
            self.seed
        );
        page.push_str(&scrolled("Rows of the gallery", &self.table()));
        for (place, row) in self.rows.iter().enumerate() {
            self.section(&mut page, row, self.port(place));
        }
        page + &self.origin.foot()
    }

    fn port(&self, place: usize) -> usize {
        usize::from(self.addr.port()) + 1 + place
    }

    fn table(&self) -> String {
        let mut table = String::from("<table class=\"text\"><thead><tr>");
        for title in ["port", "fault", "what the server does", "ending", "a correct client"] {
            let _ = write!(table, "<th scope=\"col\">{title}</th>");
        }
        table.push_str("</tr></thead><tbody>\n");
        for (place, row) in self.rows.iter().enumerate() {
            let _ = writeln!(
                table,
                "<tr><td>{}</td><th scope=\"row\"><a href=\"#{}\"><code>{}</code></a></th>\
                 <td class=\"words\">{}</td><td>{}</td><td class=\"words\">{}</td></tr>",
                self.port(place),
                row.name,
                escaped(row.label()),
                escaped(row.does),
                row.ending.word(),
                escaped(row.expect)
            );
        }
        table + "</tbody></table>"
    }

    fn section(&self, page: &mut String, row: &Row, port: usize) {
        let name = row.name;
        let _ = write!(
            page,
            "<section class=\"card\" id=\"{name}\"><h2><code>{}</code> <small>port {port}</small></h2>\n\
             <p>The server {}.</p>\n",
            escaped(row.label()),
            escaped(row.does)
        );
        steps(page, row);
        let mut try_it = self.addr;
        try_it.set_port(port as u16);
        let command = format!(
            "printf 'hello, world' | tcpecho connect {try_it} --timeout 3s --connect-timeout 3s"
        );
        for (label, text) in [
            ("On the wire:", format!("{}.", escaped(row.wire))),
            ("A correct client", format!("{}.", escaped(row.expect))),
        ] {
            let _ = writeln!(page, "<p><span class=\"label\">{label}</span> {text}</p>");
        }
        let _ = writeln!(
            page,
            "<p><span class=\"label\">Ending:</span> <code>{}</code></p>\n\
             <p><span class=\"label\">Try:</span> <code>{}</code></p></section>",
            row.ending.word(),
            escaped(&command)
        );
    }
}

/// The script of a row, and what each of its steps does.
fn steps(page: &mut String, row: &Row) {
    let Some(script) = &row.script else {
        let text = match row.fault {
            Some(_) => "A fault of the listener: no script is played.",
            None => "No fault: the engine echoes.",
        };
        let _ = writeln!(page, "<p>{text}</p>");
        return;
    };
    let _ = writeln!(
        page,
        "<p><span class=\"label\">Script:</span> <code>{}</code></p>\n<ul>",
        escaped(script)
    );
    for (syntax, meaning) in meanings(row) {
        let _ = writeln!(page, "<li><code>{}</code>: {}</li>", escaped(syntax), escaped(meaning));
    }
    page.push_str("</ul>\n");
}

/// The steps of the row's script in the table of steps, each once: syntax and meaning.
fn meanings(row: &Row) -> Vec<(&'static str, &'static str)> {
    let Some(tcpecho::Fault::Connections(plan)) = row.parsed() else { return Vec::new() };
    let steps = plan.rules().iter().flat_map(|(_, script)| script.steps());
    let mut found = Vec::new();
    for step in steps.map(ToString::to_string) {
        let name = step.split(' ').next().unwrap_or_default();
        let row = STEPS.iter().find(|row| row.name == name);
        let meaning = row.map(|row| (row.syntax, row.meaning));
        found.extend(meaning.filter(|meaning| !found.contains(meaning)));
    }
    found
}
