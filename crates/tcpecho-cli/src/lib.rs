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
mod input;
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
    if !unparsed.use_stderr() {
        let text = unparsed.render();
        let text =
            if has_colour(&io::stdout()) { text.ansi().to_string() } else { text.to_string() };
        // clap indents the empty lines between paragraphs.
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let text = lines.join("\n") + "\n";
        return output::print_text(&text, None).map_or_else(|why| why.status(0), |()| 0);
    }
    let unparsed = with_our_tip(unparsed);
    let text = unparsed.render();
    let plain = text.to_string();
    // The rest is the usage.
    let wrong = plain.split("\n\n").next().unwrap_or_default().trim_start_matches(CLAP_PREFIX);
    let wrong: Vec<&str> = wrong.split_whitespace().collect();
    let failure = Failure::usage(wrong.join(" "));
    if Failure::is_told_in_words() {
        let text = if has_colour(&io::stderr()) { text.ansi().to_string() } else { plain.clone() };
        // All diagnostics of the program begin alike. A verb without its subcommand gets the help, which has no prefix.
        let is_error = plain.starts_with(CLAP_PREFIX);
        say_raw(&if is_error { text.replacen(CLAP_PREFIX.trim(), "tcpecho:", 1) } else { text });
    }
    failure.tell_object(exit::NOT_POSSIBLE)
}

/// How clap begins its messages.
const CLAP_PREFIX: &str = "error: ";

/// Replaces clap's advice to write `-- -1`: neither a host nor a port begins with `-`, and no value is negative.
fn with_our_tip(mut unparsed: clap::Error) -> clap::Error {
    suggestion::keep_near(&mut unparsed);
    if unparsed.kind() != ErrorKind::UnknownArgument {
        return unparsed;
    }
    unparsed.remove(ContextKind::Suggested);
    let is_number = match unparsed.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => word.parse::<f64>().is_ok_and(|number| number <= 0.0),
        _ => false,
    };
    if is_number {
        let tip = StyledStr::from("no value may be negative");
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
    fn no_tip_tells_to_pass_an_option_as_a_host() {
        for line in ["tcpecho connect --timeout -1 h", "tcpecho ping -1", "tcpecho bench h -1.5"] {
            let text = advice(line);
            assert!(!text.contains("-- -"), "{text}");
            assert!(text.contains("tip: no value may be negative"), "{text}");
        }
        let unknown = advice("tcpecho connect --bogus");
        assert!(!unknown.contains("tip"), "{unknown}");
        let far = advice("tcpecho connect --cont");
        assert!(!far.contains("tip") && !far.contains("--connect-timeout"), "{far}");
        let misspelt = advice("tcpecho connect --timeou 1s");
        assert!(misspelt.contains("tip: a similar argument exists: '--timeout'"), "{misspelt}");
    }
}
