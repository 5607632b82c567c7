//! `tcpecho man`: man pages, made of the same tables as the help.

use std::{io, process::ExitCode};

use clap::{Arg, ArgAction, Args, Command};
use clap_mangen::{
    Man,
    roff::{Roff, bold, italic, roman},
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
    let synopsis = synopsis(&command);
    let command = command.version(env!("CARGO_PKG_VERSION")).display_name(name.to_owned());
    let man = Man::new(command)
        .title(name.to_uppercase())
        .date(CHANGED)
        .source(concat!("tcpecho ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    text.extend_from_slice(synopsis.to_roff().as_bytes());
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

/// The section SYNOPSIS, with the values of the options.
fn synopsis(command: &Command) -> Roff {
    let mut line = vec![bold(command.get_bin_name().unwrap_or(command.get_name())), roman(" ")];
    for option in command.get_opts().chain(command.get_arguments().filter(|arg| is_flag(arg))) {
        if option.is_hide_set() {
            continue;
        }
        line.push(roman("["));
        let names = [
            option.get_short().map(|letter| format!("-{letter}")),
            option.get_long().map(|word| format!("--{word}")),
        ];
        for (place, name) in names.into_iter().flatten().enumerate() {
            line.extend((place > 0).then(|| roman("|")));
            line.push(bold(name));
        }
        for name in option.get_value_names().unwrap_or_default().iter().filter(|_| !is_flag(option))
        {
            line.extend([roman(" "), italic(name.as_str())]);
        }
        line.push(roman("] "));
    }
    for operand in command.get_positionals().filter(|operand| !operand.is_hide_set()) {
        let name = operand.get_value_names().and_then(|names| names.first());
        let name = name.map_or(operand.get_id().as_str(), |name| name.as_str());
        let (open, close) = if operand.is_required_set() { ("", "") } else { ("[", "]") };
        let more = if matches!(operand.get_action(), ArgAction::Append) { "..." } else { "" };
        line.extend([roman(open), italic(name), roman(format!("{more}{close} "))]);
    }
    if command.get_subcommands().any(|verb| !verb.is_hide_set()) {
        line.push(italic("COMMAND"));
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text(line);
    roff
}

/// Whether it is an option without a value.
fn is_flag(option: &Arg) -> bool {
    !option.is_positional() && !option.get_action().takes_values()
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
            Body::File(lines) => {
                roff.control("EX", []);
                for line in *lines {
                    roff.text([roman(*line)]);
                }
                roff.control("EE", []);
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
