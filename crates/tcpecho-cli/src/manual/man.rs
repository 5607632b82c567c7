//! `tcpecho man`: man pages, made of the same tables as the help.

use std::{io, process::ExitCode};

use clap::{Args, Command};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{Body, Page, Section};
use crate::{exit, output, tell::Failure};

/// Print the man page of the program, or of a command
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command, such as `ping` or `lab run`; the program if not given
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// When what the pages say last changed; a page without a date is not a valid one.
const CHANGED: &str = "2026-11-28";

/// Prints the page.
pub(crate) fn run(args: &ManArgs) -> ExitCode {
    let path = args.command.join(" ");
    match page(&path) {
        Ok(Some(page)) => {
            ExitCode::from(output::print(&page, None).map_or_else(|why| why.status(0), |()| 0))
        }
        Ok(None) => {
            let sentence = format!(
                "there is no command '{}': `tcpecho --help` lists the commands",
                path.escape_debug()
            );
            ExitCode::from(Failure::usage(sentence).tell(exit::NOT_POSSIBLE))
        }
        Err(error) => {
            let sentence = format!("make the man page: {error}");
            ExitCode::from(Failure::usage(sentence).tell(exit::NOT_POSSIBLE))
        }
    }
}

/// Returns the page of the command, in roff; none if there is no such command.
fn page(path: &str) -> io::Result<Option<String>> {
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    for word in path.split_whitespace() {
        let found = command.get_subcommands().find(|verb| verb.get_name() == word).cloned();
        let Some(found) = found else { return Ok(None) };
        command = found;
    }
    let path = path.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = ["tcpecho", &path].join(" ").trim_end().replace(' ', "-");
    render(command, &name, Page::of(&path)).map(Some)
}

fn render(command: Command, name: &str, page: Option<&Page>) -> io::Result<String> {
    let has_options = command.get_arguments().any(|option| !option.is_hide_set());
    let has_verbs = command.get_subcommands().any(|verb| !verb.is_hide_set());
    let command = command.version(env!("CARGO_PKG_VERSION")).display_name(name.to_owned());
    let man = Man::new(command)
        .title(name.to_uppercase())
        .date(CHANGED)
        .source(concat!("tcpecho ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if has_options {
        man.render_options_section(&mut text)?;
    }
    if has_verbs {
        man.render_subcommands_section(&mut text)?;
    }
    for section in page.map(|page| page.sections).unwrap_or_default() {
        text.extend_from_slice(section.roff().to_roff().as_bytes());
    }
    Ok(without_needless_breaks(&String::from_utf8_lossy(&text)))
}

/// Writes one `.sp` for an empty line between two breaks, about which mandoc(1) warns.
fn without_needless_breaks(text: &str) -> String {
    text.replace(".br\n\n.br\n", ".sp\n")
}

impl Section {
    fn roff(&self) -> Roff {
        let mut roff = Roff::new();
        roff.control("SH", [self.title.to_uppercase().as_str()]);
        match &self.body {
            Body::Text(text) => {
                roff.text([roman(*text)]);
            }
            Body::Rows(rows) | Body::Examples(rows) => {
                for (term, text) in *rows {
                    entry(&mut roff, term, text);
                }
            }
            Body::Table(rows) => {
                for (term, text) in rows() {
                    entry(&mut roff, &term, &text);
                }
            }
        }
        roff
    }
}

fn entry(roff: &mut Roff, term: &str, text: &str) {
    roff.control("TP", []).text([bold(term)]).text([roman(text)]);
}
