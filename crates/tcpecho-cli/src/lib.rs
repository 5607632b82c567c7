//! The program `tcpecho`, as a library, so that the fuzz targets reach its parsers. It has no other interface.
#![forbid(unsafe_code)]
// Stdout is written by `output`, which reports errors and does not panic.
#![deny(clippy::print_stdout)]

mod bars;
mod bench;
mod calls;
mod connect;
mod environment;
mod exit;
mod family;
mod fresh_line;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod input;
mod json_error;
mod lab;
mod locale;
mod log;
mod lookup;
mod machine;
mod manual;
mod markup;
mod number;
mod output;
mod page;
mod ping;
mod serve;
mod signals;
mod stderr;
mod suggestion;
mod tell;
mod threshold;
mod units;
mod width;

use std::{env, ffi::OsString, io, process::ExitCode};

use clap::{
    Parser, Subcommand,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    environment::Unparsed,
    stderr::say_raw,
    tell::{Failure, has_colour},
};

/// TCP echo server, client, prober, load generator and fault laboratory.
#[derive(Debug, Parser)]
#[command(name = "tcpecho", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::ServeArgs),
    Connect(connect::ConnectArgs),
    Ping(Box<ping::PingArgs>),
    Bench(Box<bench::BenchArgs>),
    Lab(lab::LabArgs),
    Man(manual::ManArgs),
    Completions(manual::CompletionsArgs),
    Schema(manual::SchemaArgs),
}

/// Runs the program with the arguments of this process, and returns its exit status.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    tell::write_objects_as_in(&arguments);
    if arguments.len() < 2 {
        return manual::start();
    }
    let (args, notes) = match environment::parse::<Args>(&manual::command(), &arguments) {
        Ok(parsed) => parsed,
        Err(Unparsed::Arguments(error)) => return ExitCode::from(answer(error, &arguments)),
        Err(Unparsed::Environment(sentence)) => {
            return ExitCode::from(Failure::usage(sentence).tell(exit::NOT_POSSIBLE));
        }
    };
    match args.verb {
        Verb::Serve(args) => serve::run(&args, notes),
        Verb::Connect(args) => connect::run(&args),
        Verb::Ping(args) => ping::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Lab(args) => lab::run(&args),
        Verb::Man(args) => manual::man(&args),
        Verb::Completions(args) => manual::completions(&args),
        Verb::Schema(args) => manual::schema(&args),
    }
}

/// Help and version on stdout; what is wrong with the arguments on stderr, and as an object where those are written.
fn answer(unparsed: clap::Error, arguments: &[OsString]) -> u8 {
    if unparsed.kind() == ErrorKind::DisplayVersion
        && arguments.iter().any(|word| word == "--version")
    {
        let text = manual::long_version();
        return output::print_text(&text, None).map_or_else(|why| why.status(0), |()| 0);
    }
    // `tcpecho lab` asks what there is, as `tcpecho` does.
    let is_help = unparsed.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if is_help || !unparsed.use_stderr() {
        let text = unparsed.render();
        let text =
            if has_colour(&io::stdout()) { text.ansi().to_string() } else { text.to_string() };
        // clap indents the empty lines between paragraphs.
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let text = lines.join("\n") + "\n";
        return output::print_text(&text, None).map_or_else(|why| why.status(0), |()| 0);
    }
    let unparsed = with_our_usage(with_our_tip(unparsed), arguments);
    let text = unparsed.render();
    let plain = text.to_string();
    // The rest is the usage.
    let wrong = plain.split("\n\n").next().unwrap_or_default().trim_start_matches(CLAP_PREFIX);
    let wrong: Vec<&str> = wrong.split_whitespace().collect();
    let failure = Failure::usage(wrong.join(" "));
    if Failure::is_told_in_words() {
        let text = if has_colour(&io::stderr()) { text.ansi().to_string() } else { plain.clone() };
        // All diagnostics of the program begin alike.
        say_raw(&text.replacen(CLAP_PREFIX.trim(), "tcpecho:", 1));
    }
    failure.tell_object(exit::NOT_POSSIBLE)
}

/// How clap begins its messages.
const CLAP_PREFIX: &str = "error: ";

/// Replaces clap's usage, which has the options that were typed as if they were required, by that of the command.
fn with_our_usage(mut unparsed: clap::Error, arguments: &[OsString]) -> clap::Error {
    if unparsed.get(ContextKind::Usage).is_none() {
        return unparsed;
    }
    let mut command = manual::command();
    command.build();
    for word in arguments.iter().skip(1) {
        let Some(verb) = command.find_subcommand(word).cloned() else { break };
        command = verb;
    }
    let usage = ContextValue::StyledStr(command.render_usage());
    unparsed.insert(ContextKind::Usage, usage);
    unparsed
}

/// Where a verb is that was typed without the verb before it, as in `tcpecho doctor`.
fn tip_of_a_verb_below(typed: &str) -> Option<String> {
    let command = manual::command();
    let parent = command.get_subcommands().find(|parent| {
        let below = parent.get_subcommands().find(|verb| verb.get_name() == typed);
        below.is_some_and(|verb| !verb.is_hide_set())
    })?;
    Some(format!("the command is 'tcpecho {} {typed}'", parent.get_name()))
}

/// Replaces clap's advice to write `-- -1`: neither a host nor a port begins with `-`, and no value is negative.
fn with_our_tip(mut unparsed: clap::Error) -> clap::Error {
    suggestion::keep_near(&mut unparsed);
    if let Some(ContextValue::String(word)) = unparsed.get(ContextKind::InvalidSubcommand)
        && let Some(tip) = tip_of_a_verb_below(word)
    {
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        unparsed.insert(ContextKind::Suggested, tips);
        return unparsed;
    }
    if unparsed.kind() != ErrorKind::UnknownArgument {
        return unparsed;
    }
    unparsed.remove(ContextKind::Suggested);
    let tip = match unparsed.get(ContextKind::InvalidArg) {
        // Only `serve` has neither, of the commands for which they mean something.
        Some(ContextValue::String(word)) if word == "-4" || word == "-6" => {
            Some("the address decides the family: 0.0.0.0:PORT is IPv4, [::]:PORT is IPv6 as well")
        }
        Some(ContextValue::String(word)) if word.parse::<f64>().is_ok_and(|n| n <= 0.0) => {
            Some("no value may be negative")
        }
        _ => None,
    };
    if let Some(tip) = tip {
        let tip = StyledStr::from(tip);
        unparsed.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    unparsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(line: &str) -> String {
        let error = Args::try_parse_from(line.split(' ')).unwrap_err();
        with_our_tip(error).render().to_string()
    }

    #[test]
    fn the_usage_is_that_of_the_command() {
        for (line, usage) in [
            ("tcpecho connect -4 -6 h", "Usage: tcpecho connect [OPTIONS] [HOST[:PORT]] [PORT]\n"),
            ("tcpecho lab run -4 --family 6", "Usage: tcpecho lab run [OPTIONS] <NAME>...\n"),
            ("tcpecho nosuch", "Usage: tcpecho <COMMAND>\n"),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let error = manual::command().try_get_matches_from(&words).unwrap_err();
            let text = with_our_usage(error, &words).render().to_string();
            assert!(text.contains(usage), "{text}");
        }
    }

    #[test]
    fn no_tip_tells_to_pass_an_option_as_a_host() {
        for line in ["tcpecho connect --timeout -1 h", "tcpecho ping -1", "tcpecho bench h -1.5"] {
            let text = advice(line);
            assert!(!text.contains("-- -"), "{text}");
            assert!(text.contains("tip: no value may be negative"), "{text}");
        }
        let family = advice("tcpecho serve -6");
        assert!(family.contains("tip: the address decides the family"), "{family}");
        for verb in ["doctor", "run", "report"] {
            let below = advice(&format!("tcpecho {verb}"));
            let tip = format!(" {verb}'\n");
            assert!(
                below.contains("tip: the command is 'tcpecho ") && below.contains(&tip),
                "{below}"
            );
        }
        assert!(!advice("tcpecho agent").contains("tip"));
        let unknown = advice("tcpecho connect --bogus");
        assert!(!unknown.contains("tip"), "{unknown}");
        let far = advice("tcpecho connect --cont");
        assert!(!far.contains("tip") && !far.contains("--connect-timeout"), "{far}");
        let misspelt = advice("tcpecho connect --timeou 1s");
        assert!(misspelt.contains("tip: a similar argument exists: '--timeout'"), "{misspelt}");
    }
}
