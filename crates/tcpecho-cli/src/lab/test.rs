//! `tcpecho lab test`: puts a program through every trial and shows a table of verdicts.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use nix::sys::signal::Signal;
use tcpecho::internal::parse_duration;
use tcpecho_lab::{
    Side,
    run::{Run, Verdict},
    stage::Stage,
    trial::{NOT_LISTENING, USE_FAMILY, trials},
};

use super::{
    enter,
    expect::Expectations,
    families::FamilyArgs,
    gallery,
    ladder::Look,
    names,
    playing::{self, Drawing, Plan, Playable, Played},
    programs::{Invitation, ProgramArgs, trials_named},
    refuse, verdicts,
};
use crate::number::number;
use crate::{
    exit,
    output::{OutputBuffer, lost_as_text},
    tell::say,
};

/// Run your client or server in every scenario that applies, and judge it.
///
/// The program runs in a host of its own, opposite a program of the lab. In its command, {host} and
/// {port} are replaced; {address} is both, with brackets around an IPv6 address, and {any} is the
/// address that a server binds. A program that has a port of its own needs --port instead of {port}.
/// A client gets lines on stdin and must print what comes back; a
/// server must echo. A command that needs a shell (pipes, variables) is run by /bin/sh, and signals
/// then go to the shell.
#[derive(Debug, Args)]
pub(super) struct TestArgs {
    #[command(flatten)]
    program: ProgramArgs,

    /// Trials to run, groups such as queues, or patterns such as 'segment-*' [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    family: FamilyArgs,

    /// Run a client against the gallery of tcpecho serve instead: an echo, and every fault of --fault, on loopback. It needs
    /// no virtual hosts, and so neither root nor namespaces. NAME is then the name of a fault
    #[arg(long)]
    gallery: bool,

    /// With --gallery, end a client that takes longer than this for a fault
    #[arg(long, value_name = "TIME", default_value = gallery::DEADLINE, value_parser = parse_duration, requires = "gallery")]
    deadline: Duration,

    /// Trials to run in parallel [default: twice the number of processors]
    #[arg(long, value_name = "N", value_parser = number::<u8>(1, 64))]
    jobs: Option<u8>,

    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: TableFormat,

    /// File with known verdicts; the exit status is 1 only if a verdict differs from it
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TableFormat {
    /// One line per trial
    Text,
    /// One JSON object with all observations of every trial (tcpecho schema lab-test)
    Json,
    /// A JUnit report with one test case per trial and address family
    Junit,
    /// A table in Markdown
    Markdown,
}

/// The bytes kept of the beginning and of the end of each trial's timeline; there are many, and all
/// have ended before the table.
const KEPT: usize = 1 << 20;

pub(super) fn test(args: &TestArgs) -> ExitCode {
    match judge(args) {
        Ok(status) | Err(status) => status,
    }
}

fn judge(args: &TestArgs) -> Result<ExitCode, ExitCode> {
    let mut invitations = args.program.invitations()?;
    if invitations.len() > 1 {
        return Err(refuse(
            "--client cannot be used with --server here: one program is judged; lab run takes both",
        ));
    }
    let Some(invitation) = invitations.pop() else {
        return Err(refuse(
            "give a program: --client 'COMMAND {host} {port}' or --server 'COMMAND {port}'",
        ));
    };
    let all = vec!["all".to_string()];
    let names = if args.names.is_empty() { &all } else { &args.names };
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let jobs = args.jobs.map_or(processors * 2, usize::from);
    if args.gallery {
        return judge_in_gallery(args, &invitation, names, jobs);
    }
    let mut wanted = Vec::new();
    for name in names {
        for trial in trials_named(name, &[invitation.role])? {
            let families = args.family.list().iter();
            wanted.extend(families.map(|family| (Playable::Trial(trial), *family)));
        }
    }
    let expectations = expectations(args, invitation.role)?;
    let signals = playing::catch_signals()?;
    let cable = enter()?;
    let begun = std::time::Instant::now();
    let programs = vec![(invitation.role, invitation.command.clone())];
    let prepare = Box::new(|stage: &mut Stage| {
        // No ladder is shown, and sampling the states is most of the work.
        stage.two().watch_states(false);
        stage.two().timeline.keep(KEPT);
    });
    let (port, drawing) = (args.program.port(), Drawing::Nothing);
    let is_last =
        if args.family.list().len() == 1 { needs_another_family } else { |_: &Run| false };
    let plan = Plan { wanted, programs, port, cable, jobs, drawing, prepare, is_last };
    let Played { runs, interrupted_by } = playing::play(plan, signals)?;
    if interrupted_by == Some(Signal::SIGPIPE) {
        return Ok(ExitCode::from(exit::interrupted_by(Signal::SIGPIPE)));
    }
    if let Some(why) = cannot_start(&runs) {
        return Err(refuse(format!("{}: {why}", invitation.text.escape_debug())));
    }
    let (took, port) = (begun.elapsed(), args.program.port_given());
    let table = verdicts::Table::new(&invitation, &expectations, &runs, took, port);
    Ok(tell(&table, args.format, interrupted_by))
}

/// Runs the client against the gallery, on loopback.
fn judge_in_gallery(
    args: &TestArgs,
    invitation: &Invitation,
    names: &[String],
    jobs: usize,
) -> Result<ExitCode, ExitCode> {
    if invitation.role != Side::Client {
        return Err(refuse("--gallery tests a client: give it with --client"));
    }
    if args.program.port_given().is_some() {
        return Err(refuse(
            "--port cannot be used with --gallery: each fault has a port of its own; write {port} in the command",
        ));
    }
    let plan = gallery::Plan {
        invitation,
        rows: gallery::rows_named(names)?,
        families: args.family.list(),
        jobs,
        deadline: args.deadline,
        expectations: match &args.expect {
            Some(file) => {
                let known: Vec<&str> = gallery::names().collect();
                Expectations::read(file, &known, gallery::LIST).map_err(refuse)?
            }
            None => Expectations::default(),
        },
    };
    let (table, interrupted_by) = gallery::run(&plan)?;
    if interrupted_by == Some(Signal::SIGPIPE) {
        return Ok(ExitCode::from(exit::interrupted_by(Signal::SIGPIPE)));
    }
    Ok(tell(&table, args.format, interrupted_by))
}

/// Writes the table, and returns the exit status.
fn tell(table: &verdicts::Table, format: TableFormat, interrupted_by: Option<Signal>) -> ExitCode {
    let mut out = match format {
        TableFormat::Text => OutputBuffer::text(),
        _ => OutputBuffer::stdout(lost_as_text),
    };
    // The writer reports its failure itself.
    let _ = match format {
        TableFormat::Text => table.text(&mut out, Look::of_stdout()),
        TableFormat::Json => table.json(&mut out),
        TableFormat::Junit => table.junit(&mut out),
        TableFormat::Markdown => table.markdown(&mut out),
    };
    let status = interrupted_by.map_or_else(|| table.status(), exit::interrupted_by);
    let status = out.end(status);
    if let Some(signal) = interrupted_by {
        say(&format!("interrupted by {signal}"));
    }
    ExitCode::from(status)
}

fn expectations(args: &TestArgs, role: Side) -> Result<Expectations, ExitCode> {
    let Some(file) = &args.expect else { return Ok(Expectations::default()) };
    let known: Vec<&str> = trials(&[role]).map(|trial| trial.text.name).collect();
    Expectations::read(file, &known, names::LIST).map_err(refuse)
}

/// Whether the program listens, but not for this address family: no other trial can be played.
fn needs_another_family(run: &Run) -> bool {
    matches!(&run.verdict, Verdict::Broken(why) if why.starts_with(NOT_LISTENING) && why.contains(USE_FAMILY))
}

/// If no trial could start the program, that is not a verdict on it.
fn cannot_start(runs: &[Run]) -> Option<String> {
    let reason = |run: &Run| {
        let why = match &run.verdict {
            Verdict::Broken(why) => why,
            Verdict::Failed(claims) => claims.last()?,
            _ => return None,
        };
        let said = run.conduct.as_ref().and_then(|conduct| conduct.said.clone());
        (why.starts_with("start ") || why.starts_with(NOT_LISTENING)).then(|| {
            said.map_or_else(|| why.clone(), |said| format!("{why}: {}", said.escape_debug()))
        })
    };
    let reasons: Vec<String> = runs.iter().filter_map(reason).collect();
    let first = reasons.first()?;
    (reasons.len() == runs.len()).then(|| first.clone())
}
