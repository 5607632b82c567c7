//! Options in the environment: values are checked under the names of their variables, and what was never meant for this
//! program is ignored.
//!
//! Next to a Service called `tcpecho` Kubernetes injects TCPECHO_PORT=tcp://10.96.0.12:9877 into every container, as Docker
//! links did before it; TCPECHO_SERVICE_HOST and the others that come with it are no options.

use std::{
    env,
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, Command, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

/// The transports that a service link can name.
const LINKS: [&str; 3] = ["tcp://", "udp://", "sctp://"];

/// Why neither help, version nor arguments came out of the command line and the environment; or a request for help.
pub(crate) enum Unparsed {
    /// What clap answers to the command line.
    Arguments(clap::Error),
    /// A variable with a value that is not understood.
    Environment(String),
}

/// Reads the command line and the environment. The notes are about variables that were ignored.
///
/// # Errors
/// Where either is not understood, or help was asked for.
pub(crate) fn parse<T: FromArgMatches>(
    command: &Command,
    line: &[OsString],
) -> Result<(T, Vec<String>), Unparsed> {
    let ignored = ignored(command, line).map_err(Unparsed::Environment)?;
    let command =
        deaf(command.clone(), |variable| ignored.iter().any(|(name, _)| name == variable));
    let args = command
        .try_get_matches_from(line)
        .and_then(|matches| T::from_arg_matches(&matches))
        .map_err(Unparsed::Arguments)?;
    let note = |(name, value): (OsString, Option<String>)| {
        let (name, value) = (name.to_string_lossy().into_owned(), value?);
        Some(format!(
            "{name}={value} is ignored: it is the address of a service, set by Kubernetes or Docker"
        ))
    };
    Ok((args, ignored.into_iter().filter_map(note).collect()))
}

/// The variables that are empty or excluded by what was typed, and those that hold the address of a service, with it.
///
/// # Errors
/// The first variable whose value would be used and is not understood.
fn ignored(
    command: &Command,
    line: &[OsString],
) -> Result<Vec<(OsString, Option<String>)>, String> {
    // Help, and what is wrong on the command line itself, is not about the environment.
    let Ok(matches) = deaf(command.clone(), |_| true).try_get_matches_from(line) else {
        return Ok(Vec::new());
    };
    let Some((verb, given)) = matches.subcommand() else { return Ok(Vec::new()) };
    let Some(options) = command.find_subcommand(verb) else { return Ok(Vec::new()) };
    let mut ignored = Vec::new();
    for option in options.get_arguments() {
        let Some(variable) = option.get_env() else { continue };
        let Some(value) = env::var_os(variable) else { continue };
        let is_typed = |option: &Arg| {
            given.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        if is_typed(option) {
            continue;
        }
        let excludes = |other: &Arg| options.get_arg_conflicts_with(other).contains(&option);
        let is_overridden = options.get_arguments().any(|other| is_typed(other) && excludes(other));
        if is_overridden || value.is_empty() {
            // An empty one is not set: compose files and unit files leave it so.
            ignored.push((variable.to_owned(), None));
        } else if let Some(link) = link(&value) {
            ignored.push((variable.to_owned(), Some(link)));
        } else {
            let alone = deaf(command.clone(), |other| other != variable);
            if let Err(error) = alone.try_get_matches_from(line) {
                return Err(format!(
                    "{}: {}",
                    variable.to_string_lossy(),
                    sentence(&error, &value)
                ));
            }
        }
    }
    Ok(ignored)
}

/// The command without the variables for which this holds.
fn deaf(mut command: Command, without: impl Fn(&OsStr) -> bool) -> Command {
    let verbs: Vec<String> =
        command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    for verb in verbs {
        command = command.mut_subcommand(verb, |verb| {
            verb.mut_args(|option| {
                if option.get_env().is_some_and(&without) {
                    option.env(None::<&'static str>)
                } else {
                    option
                }
            })
        });
    }
    command
}

/// The address of a service, `tcp://10.96.0.12:9877`, fit to be shown.
fn link(value: &OsStr) -> Option<String> {
    let value = value.to_str()?;
    let is_link = LINKS.iter().any(|link| value.starts_with(link));
    is_link.then(|| value.escape_debug().to_string())
}

/// What is wrong with a value.
fn sentence(error: &clap::Error, value: &OsStr) -> String {
    // One value of a list, where the list is not the value.
    let shown = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.escape_debug().to_string(),
        _ => value.to_string_lossy().escape_debug().to_string(),
    };
    let accepted = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(accepted)) => format!("expected {}", accepted.join(", ")),
        _ if error.kind() == ErrorKind::InvalidUtf8 => "not valid UTF-8".into(),
        _ => std::error::Error::source(error).map(ToString::to_string).unwrap_or_default(),
    };
    format!("invalid value \"{shown}\": {accepted}")
}
