//! The programs under test that `lab run` and `lab test` take, and the trials there are for them.

use std::process::ExitCode;

use clap::Args;
use tcpecho_lab::{
    Side,
    trial::{CommandLine, Trial, trials},
};

use super::refuse;

/// Whose place is taken by what.
#[derive(Debug, Args)]
pub(super) struct ProgramArgs {
    /// A client to put in our client's place, such as 'nc -N {host} {port}'; `lab run` takes a server beside it
    #[arg(long, value_name = "COMMAND")]
    client: Option<String>,

    /// A server to put in our server's place, such as 'socat TCP6-LISTEN:{port},fork EXEC:cat'; `lab run` takes a client beside it
    #[arg(long, value_name = "COMMAND")]
    server: Option<String>,
}

/// A program and whose place it takes.
pub(super) struct Invitation {
    pub(super) role: Side,
    pub(super) text: String,
    pub(super) command: CommandLine,
}

impl ProgramArgs {
    /// Whoever was given: nobody, one or both, the client first.
    pub(super) fn invitations(&self) -> Result<Vec<Invitation>, ExitCode> {
        let given = [(Side::Client, &self.client), (Side::Server, &self.server)];
        given
            .into_iter()
            .filter_map(|(role, text)| Some(invitation(role, text.as_ref()?)))
            .collect()
    }
}

fn invitation(role: Side, text: &str) -> Result<Invitation, ExitCode> {
    let command = CommandLine::parse(text).map_err(|why| refuse(format!("--{role}: {why}")))?;
    if role == Side::Client && !text.contains("{port}") && !text.contains("{address}") {
        return Err(refuse("--client: the command has no {port}; it would connect elsewhere"));
    }
    Ok(Invitation { role, text: text.to_string(), command })
}

/// The sides that these programs take.
pub(super) fn sides(invitations: &[Invitation]) -> Vec<Side> {
    invitations.iter().map(|invitation| invitation.role).collect()
}

/// What to say of a name that exists for a program under test only, if it does.
pub(super) fn needs_a_program(name: &str) -> Option<ExitCode> {
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
    Some(refuse(format!("'{name}' tests a program of yours: give it with {how}")))
}

/// The trials of this name for programs that take these sides; `all` is every one.
pub(super) fn trials_named(name: &str, sides: &[Side]) -> Result<Vec<&'static Trial>, ExitCode> {
    if name == "all" {
        return Ok(trials(sides).to_vec());
    }
    if let Some(trial) = Trial::named(name, sides) {
        return Ok(vec![trial]);
    }
    let role = match sides {
        [role] => role.to_string(),
        _ => "client and a server together".into(),
    };
    let names: Vec<&str> = trials(sides).iter().map(|trial| trial.text.name).collect();
    Err(refuse(format!(
        "'{}' is no trial for a {role}; there are: {}",
        name.escape_debug(),
        names.join(", ")
    )))
}
