//! The frame of every HTML page: one style for light, dark, narrow screens and paper, without scripts or other files.
//!
//! States and series differ by pattern and name, not by colour alone. Every page ends with the command line that made it and
//! the facts of the host.

pub(crate) mod svg;

use std::time::SystemTime;

use tcpecho_os::text::spaced;

use crate::{
    machine::{Fact, facts},
    markup::escaped,
};

const STYLE: &str = include_str!("page/page.css");
/// The longest command line that is shown whole, in characters.
const LONGEST: usize = 2000;

/// The beginning of a page, up to its title as a heading.
pub(crate) fn head(title: &str) -> String {
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><style>\n{STYLE}</style></head>\n<body>\
         <a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
         <main id=\"content\"><h1>{title}</h1>\n"
    )
}

/// Where a page comes from: the command line, the program and the host, now.
pub(crate) struct Origin {
    command: String,
    made: String,
    facts: Vec<Fact>,
}

impl Origin {
    /// Reads the command line of this process, the clock and the facts of this host.
    pub(crate) fn now() -> Self {
        let made = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Origin { command: command_line(), made, facts: facts() }
    }

    /// The end of a page: its command line, the version, the date and the host.
    pub(crate) fn foot(&self) -> String {
        self.foot_with("")
    }

    /// As [`Origin::foot`], with more paragraphs before.
    pub(crate) fn foot_with(&self, more: &str) -> String {
        let facts = in_words(self.facts.iter().map(|(name, fact)| (*name, fact.as_str())));
        let (command, made) = (escaped(&self.command), escaped(&self.made));
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "</main>\n<footer>{more}<p>Made by <code>{command}</code></p>\
             <p>tcpecho {version}, {made}. {facts}.</p></footer></body></html>\n"
        )
    }
}

/// The facts of a host in one line of HTML.
pub(crate) fn in_words<'a>(facts: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let words = facts.map(|(name, fact)| format!("{}: {fact}", name.replace('_', " ")));
    escaped(&words.collect::<Vec<_>>().join("; "))
}

/// A block that scrolls sideways where it is too wide, also with the keyboard.
pub(crate) fn scrolled(name: &str, body: &str) -> String {
    let name = escaped(name);
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\">{body}</div>"
    )
}

/// The command line of this process as a shell takes it, with the bare name of the program.
fn command_line() -> String {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    quoted(std::iter::once("tcpecho".to_owned()).chain(words))
}

fn quoted(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> =
        words.map(|word| shell_words::quote(&spaced(&word)).into_owned()).collect();
    let line = words.join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_given_to_a_shell_again_and_is_text() {
        let words = ["tcpecho", "lab", "--client", "nc {host} <1>", "a\x1bb"].map(str::to_owned);
        let line = quoted(words.into_iter());
        assert_eq!(line, "tcpecho lab --client 'nc {host} <1>' 'a b'");
        assert_eq!(quoted(std::iter::once("x".repeat(3000))).chars().count(), LONGEST + 1);
        let origin =
            Origin { command: line, made: "now".into(), facts: vec![("a_b", "<c>".into())] };
        let foot = origin.foot();
        assert!(
            foot.contains("<code>tcpecho lab --client 'nc {host} &lt;1&gt;' 'a b'</code>"),
            "{foot}"
        );
        assert!(foot.contains("a b: &lt;c&gt;"), "{foot}");
    }
}
