//! The programs under test of `lab run` and `lab test`, and their trials.

use std::process::ExitCode;

use clap::Args;
use tcpecho_lab::{
    Side,
    stage::PORT,
    trial::{CommandLine, Trial, trials},
};

use super::{
    names::{self, hint},
    refuse,
};
use crate::number::number;

/// The programs under test.
#[derive(Debug, Args)]
pub(super) struct ProgramArgs {
    /// Client to test, such as 'nc -N {host} {port}'
    #[arg(long, value_name = "COMMAND")]
    client: Option<String>,

    /// Server to test, such as 'socat TCP6-LISTEN:{port},fork EXEC:cat'
    #[arg(long, value_name = "COMMAND")]
    server: Option<String>,

    /// Port of the server, if the command has no {port} because the port is built in or configured
    /// [default: 7]
    #[arg(long, value_name = "PORT", value_parser = number::<u16>(1, 65_535))]
    port: Option<u16>,
}

/// A program under test and the side it takes.
pub(super) struct Invitation {
    pub(super) role: Side,
    pub(super) text: String,
    pub(super) command: CommandLine,
}

impl ProgramArgs {
    /// The programs that were given: none, one or both, the client first.
    pub(super) fn invitations(&self) -> Result<Vec<Invitation>, ExitCode> {
        let given = [(Side::Client, &self.client), (Side::Server, &self.server)];
        if self.port.is_some() && given.iter().all(|(_, command)| command.is_none()) {
            return Err(refuse("--port is the port of --client or --server, and neither is given"));
        }
        given
            .into_iter()
            .filter_map(|(role, text)| Some(self.invitation(role, text.as_ref()?)))
            .collect()
    }

    /// The port that was given.
    pub(super) fn port_given(&self) -> Option<u16> {
        self.port
    }

    /// The port that the server listens on.
    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(PORT)
    }

    fn invitation(&self, role: Side, text: &str) -> Result<Invitation, ExitCode> {
        let command = CommandLine::parse(text).map_err(|why| refuse(format!("--{role}: {why}")))?;
        if self.port.is_none() && !command.names_the_port() {
            let does = match role {
                Side::Client => "connect to",
                Side::Server => "listen on",
            };
            return Err(refuse(format!(
                "--{role}: no {{port}} in '{}', so the program does not know which port to {does}; \
                 add {{port}}, or give the port that it uses with --port",
                text.escape_debug()
            )));
        }
        Ok(Invitation { role, text: text.to_string(), command })
    }
}

/// The sides that these programs take.
pub(super) fn sides(invitations: &[Invitation]) -> Vec<Side> {
    invitations.iter().map(|invitation| invitation.role).collect()
}

/// A command that takes the name of a scenario.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// It takes `--client` and `--server`.
    Run,
    /// It plays scenarios only.
    Other,
}

/// The error for a name that exists only for a program under test, if it does.
pub(super) fn needs_a_program(name: &str, verb: Verb) -> Option<ExitCode> {
    let roles: Vec<&str> = Side::BOTH
        .iter()
        .filter(|role| Trial::named(name, &[**role]).is_some())
        .map(|role| match role {
            Side::Client => "--client 'COMMAND {host} {port}'",
            Side::Server => "--server 'COMMAND {port}'",
        })
        .collect();
    if roles.is_empty() {
        return None;
    }
    let how = roles.join(" or ");
    Some(refuse(match verb {
        Verb::Run => format!("'{name}' tests a program of yours: give it with {how}"),
        Verb::Other => {
            format!("'{name}' tests a program of yours: use tcpecho lab test {name} {how}")
        }
    }))
}

/// The trials of this name or pattern for programs that take these sides; `all` is every one.
pub(super) fn trials_named(name: &str, sides: &[Side]) -> Result<Vec<&'static Trial>, ExitCode> {
    if name == "all" {
        return Ok(trials(sides).collect());
    }
    let found: Vec<_> = trials(sides).filter(|trial| names::selects(name, &trial.text)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let role = match sides {
        [role] => role.to_string(),
        _ => "client and a server together".into(),
    };
    let known = trials(sides).map(|trial| trial.text.name);
    let hint = hint(name, known.chain(["all"]));
    Err(refuse(format!("'{}' is not a trial for a {role}{hint}", name.escape_debug())))
}
