//! What help and man pages say beyond the options: examples, exit statuses, signals. A table, one row a command.

mod completions;
mod man;
mod pages;
mod schema;
mod start;
mod version;

use std::fmt::Write;

use clap::{Command, CommandFactory, builder::StyledStr};

use self::pages::PAGES;
pub(crate) use self::{
    completions::{CompletionsArgs, run as completions},
    man::{ManArgs, run as man},
    schema::{SchemaArgs, run as schema},
    start::run as start,
    version::long as long_version,
};
use crate::{
    Args,
    width::{columns, hang, hang_command},
};

/// The row of a command.
struct Page {
    /// The words after `tcpecho`; none for the program itself.
    command: &'static str,
    sections: &'static [Section],
}

/// A titled part of a page. `--help` and the man page have all of them, `-h` those that are short.
struct Section {
    title: &'static str,
    is_short: bool,
    body: Body,
}

enum Body {
    Text(&'static str),
    /// The lines of a file, to be copied: none is wrapped.
    File(&'static [&'static str]),
    /// A term, and what it means.
    Rows(&'static [(&'static str, &'static str)]),
    /// A command line, and what it does.
    Examples(&'static [(&'static str, &'static str)]),
    /// Made of another table.
    Table(fn() -> Vec<(String, String)>),
}

impl Page {
    /// Returns the page of the command, such as `lab run`.
    fn of(command: &str) -> Option<&'static Page> {
        PAGES.iter().find(|page| page.command == command)
    }

    /// Returns the example that introduces the command.
    fn first_example(&self) -> Option<&'static str> {
        self.sections.iter().find_map(|section| match section.body {
            Body::Examples(examples) => examples.first().map(|(line, _)| *line),
            _ => None,
        })
    }

    fn help(&self, is_short: bool, width: usize) -> String {
        let mut help = String::new();
        for section in self.sections.iter().filter(|section| section.is_short || !is_short) {
            section.write(&mut help, width);
        }
        help.trim_end().to_owned()
    }
}

impl Section {
    fn write(&self, help: &mut String, width: usize) {
        let _ = writeln!(help, "{}:", self.title);
        match &self.body {
            Body::Text(text) => hang(help, "  ", "  ", text, width),
            Body::File(lines) => {
                for line in *lines {
                    let _ = writeln!(help, "{}", format!("  {line}").trim_end());
                }
            }
            Body::Rows(rows) => write_rows(help, rows, width),
            Body::Table(rows) => {
                let rows = rows();
                let rows: Vec<(&str, &str)> =
                    rows.iter().map(|(term, text)| (term.as_str(), text.as_str())).collect();
                write_rows(help, &rows, width);
            }
            Body::Examples(examples) => {
                for (line, text) in *examples {
                    hang_command(help, "  ", "    ", line, width);
                    hang(help, "      ", "      ", text, width);
                }
            }
        }
        help.push('\n');
    }
}

fn write_rows(help: &mut String, rows: &[(&str, &str)], width: usize) {
    let widest = rows.iter().map(|(term, _)| term.len()).max().unwrap_or(0);
    for (term, text) in rows {
        hang(help, &format!("  {term:widest$}  "), &" ".repeat(widest + 4), text, width);
    }
}

/// Returns the command line of the program, with its pages below the options.
pub(crate) fn command() -> Command {
    command_at(columns())
}

/// Returns it for a width. clap and the pages must not measure it each for itself: where they
/// disagree, clap wraps what is already wrapped.
fn command_at(width: usize) -> Command {
    with_pages(Args::command().term_width(width), "", width)
}

fn with_pages(mut command: Command, path: &str, width: usize) -> Command {
    if let Some(page) = Page::of(path) {
        command = command
            .after_help(StyledStr::from(page.help(true, width)))
            .after_long_help(StyledStr::from(page.help(false, width)));
    }
    let names: Vec<String> =
        command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(name, |verb| with_pages(verb, &path, width));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of all commands that help shows.
    fn paths(command: &Command, path: &str, found: &mut Vec<String>) {
        found.push(path.to_owned());
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            let path = if path.is_empty() { name.into() } else { format!("{path} {name}") };
            paths(verb, &path, found);
        }
    }

    #[test]
    fn every_command_has_a_page_with_examples_and_every_page_a_command() {
        let mut found = Vec::new();
        paths(&Args::command(), "", &mut found);
        for path in &found {
            let page = Page::of(path).unwrap_or_else(|| panic!("no page for '{path}'"));
            assert!(page.first_example().is_some(), "'{path}' has no example");
        }
        assert_eq!(found.len(), PAGES.len(), "a page without a command: {found:?}");
    }

    #[test]
    fn every_example_is_a_command_line_that_is_accepted() {
        for page in PAGES {
            for section in page.sections {
                let Body::Examples(examples) = section.body else { continue };
                for (line, _) in examples {
                    let ours = line.split(" | ");
                    let ours =
                        ours.filter_map(|part| part.split(" > ").next()?.split(" < ").next());
                    for part in ours.filter(|part| part.starts_with("tcpecho ")) {
                        let words = shell_words::split(part).unwrap();
                        if let Err(error) = command().try_get_matches_from(words) {
                            assert!(!error.use_stderr(), "{part}: {error}");
                        }
                    }
                }
            }
        }
    }

    /// `-h` and `--help` of a command, in this width.
    fn helps(path: &str, width: usize) -> [String; 2] {
        let mut command = command_at(width);
        command.build();
        for word in path.split_whitespace() {
            command = command.find_subcommand(word).unwrap().clone();
        }
        [command.render_help(), command.render_long_help()].map(|help| help.to_string())
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_none_is_wrapped_twice() {
        for width in [60, 80, 100] {
            for page in PAGES {
                let [short, long] = helps(page.command, width);
                for (help, is_short) in [(short, true), (long, false)] {
                    let below = page.help(is_short, width);
                    assert!(help.contains(&below), "{}, {width}:\n{help}\n{below}", page.command);
                    for line in help.lines() {
                        assert!(line.chars().count() <= width, "{}, {width}: {line}", page.command);
                    }
                }
            }
        }
    }

    /// clap keeps a newline in a text, and wraps the line before it once more.
    #[test]
    fn no_text_has_a_line_break_of_its_own() {
        fn texts(command: &Command, found: &mut Vec<String>) {
            found.extend(
                [command.get_about(), command.get_long_about()]
                    .map(|text| text.map(ToString::to_string).unwrap_or_default()),
            );
            for option in command.get_arguments() {
                found.extend(
                    [option.get_help(), option.get_long_help()]
                        .map(|text| text.map(ToString::to_string).unwrap_or_default()),
                );
                for value in option.get_possible_values() {
                    found.extend(value.get_help().map(ToString::to_string));
                }
            }
            command.get_subcommands().for_each(|verb| texts(verb, found));
        }
        let mut found = Vec::new();
        texts(&Args::command(), &mut found);
        for page in PAGES {
            for section in page.sections {
                match &section.body {
                    Body::Text(text) => found.push((*text).into()),
                    Body::File(lines) => found.extend(lines.iter().map(|line| (*line).into())),
                    Body::Rows(rows) | Body::Examples(rows) => {
                        found.extend(rows.iter().flat_map(|(a, b)| [(*a).into(), (*b).into()]));
                    }
                    Body::Table(rows) => found.extend(rows().into_iter().flat_map(|(a, b)| [a, b])),
                }
            }
        }
        for text in found {
            let paragraphs = text.replace("\n\n", "");
            assert!(!paragraphs.contains('\n') && !text.contains("  "), "{text}");
        }
    }
}
