//! `tcpecho lab`: boundary conditions of TCP between two virtual hosts.

mod calls;
mod examination;
mod expect;
mod explain;
mod families;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod gallery;
mod junit;
mod ladder;
mod learn;
mod list;
mod mermaid;
mod names;
mod pace;
mod page;
mod playing;
mod programs;
mod report;
mod shell;
mod site;
mod test;
mod verdict;
mod verdicts;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use clap::{Args, Subcommand, ValueEnum};
use nix::sys::signal::Signal;
use tcpecho_lab::{
    Family, Place, agent, doctor,
    host::Cable,
    run::{Run, Verdict},
    scenario::{SCENARIOS, Scenario},
    stage::Stage,
    trial,
};

use tcpecho_os::signal::{Disposition, dispose};

use self::playing::{Drawing, Plan, Playable, Played};
pub(crate) use self::{names::typed_group, shell::limits as shell_limits};
use crate::number::number;
use crate::{
    exit, input,
    output::OutputBuffer,
    tell::{Failure, say},
};

/// Run TCP failure and boundary scenarios between two virtual hosts.
///
/// The wire between the hosts is a program: it sees every packet and can hold, drop, delay, duplicate, corrupt or answer it.
#[derive(Debug, Args)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List all scenarios, and the trials that need a program of yours
    List(list::ListArgs),
    Explain(explain::ExplainArgs),
    /// Run scenarios and show what happens
    Run(RunArgs),
    Learn(learn::LearnArgs),
    /// Start a shell with two virtual hosts and the wire between them
    Shell(shell::ShellArgs),
    Test(test::TestArgs),
    Site(site::SiteArgs),
    /// Check whether this host can run the lab, and report what is missing
    Doctor,
    /// Make one system call for each line of stdin; scenarios use it
    #[command(hide = true)]
    Agent,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Scenarios, groups such as queues, `all`, or patterns such as 'segment-*'
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    family: families::FamilyArgs,

    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// Also write every packet to this file, for Wireshark and tcpdump; one scenario only
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,

    /// Scenarios to run in parallel; 1 draws the ladder live
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = number::<u8>(1, 64))]
    jobs: u8,

    /// Seed of the wire's random decisions; the kernel still chooses ports and sequence numbers
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u64>(0, u64::MAX))]
    seed: u64,

    /// Do not shorten the kernel's timers; the expected duration is printed first
    #[arg(long)]
    real_time: bool,

    /// Also show the programs' system calls with their results
    #[arg(long)]
    calls: bool,

    /// Show the run step by step; Enter continues
    #[arg(long, conflicts_with = "jobs")]
    slow: bool,

    #[command(flatten)]
    program: programs::ProgramArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A ladder: time, client, packets, server, and claims
    Text,
    /// The ladder in Markdown
    Markdown,
    /// A Mermaid sequence diagram
    Mermaid,
    /// One JSON object per event (tcpecho schema lab-run)
    Ndjson,
    /// One self-contained HTML page, with a lane for each host's states
    Html,
    /// A JUnit report
    Junit,
}

pub(crate) fn run(args: &LabArgs) -> ExitCode {
    // The parent may have ignored SIGCHLD; then the kernel would reap the children that are waited
    // for here.
    let _ = dispose(Signal::SIGCHLD as i32, Disposition::Default);
    match &args.what {
        What::List(args) => list::list(args),
        What::Explain(args) => explain::explain(args),
        What::Run(args) => play(args),
        What::Learn(args) => learn::run(args),
        What::Shell(args) => shell::run(args),
        What::Test(args) => test::test(args),
        What::Site(args) => site::run(args),
        What::Doctor => examination::examine(),
        What::Agent => obey(),
    }
}

fn obey() -> ExitCode {
    match agent::main_loop(io::stdin().lock(), io::stdout().lock()) {
        Ok(status) => ExitCode::from(status),
        Err(_) => ExitCode::from(exit::NOT_POSSIBLE),
    }
}

fn unknown<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> ExitCode {
    let (shown, hint) = (name.escape_debug(), names::hint(name, known));
    refuse(format!("no scenario is called '{shown}'{hint}"))
}

/// The names of all scenarios.
fn scenario_names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.text.name)
}

/// The names in `lab list`: of all scenarios, and of the trials that no scenario has.
fn all_names() -> impl Iterator<Item = &'static str> {
    scenario_names().chain(trial::all().map(|trial| trial.text.name))
}

/// Reports a request that cannot be fulfilled.
fn refuse(sentence: impl Into<String>) -> ExitCode {
    ExitCode::from(Failure::usage(sentence).tell(exit::NOT_POSSIBLE))
}

/// Reports what this host lacks.
fn skip(sentence: impl Into<String>) -> ExitCode {
    ExitCode::from(Failure::new("lab", sentence).tell(exit::SKIPPED))
}

/// The scenarios or trials that were requested, each with its address families.
fn asked_for(
    args: &RunArgs,
    invitations: &[programs::Invitation],
) -> Result<Vec<(Playable, Family)>, ExitCode> {
    let families = args.family.list();
    let mut wanted = Vec::new();
    for name in &args.names {
        let found: Vec<Playable> = if invitations.is_empty() {
            let is_wanted =
                |scenario: &&Scenario| name == "all" || names::selects(name, &scenario.text);
            SCENARIOS.iter().copied().filter(is_wanted).map(Playable::Scenario).collect()
        } else {
            let trials = programs::trials_named(name, &programs::sides(invitations))?;
            trials.into_iter().map(Playable::Trial).collect()
        };
        if found.is_empty() {
            return Err(programs::needs_a_program(name, programs::Verb::Run)
                .unwrap_or_else(|| unknown(name, all_names().chain(["all"]))));
        }
        for playable in found {
            wanted.extend(families.iter().map(|family| (playable, *family)));
        }
    }
    Ok(wanted)
}

fn play(args: &RunArgs) -> ExitCode {
    let invitations = match args.program.invitations() {
        Ok(invitations) => invitations,
        Err(status) => return status,
    };
    let wanted = match asked_for(args, &invitations) {
        Ok(wanted) => wanted,
        Err(status) => return status,
    };
    if args.slow
        && let Err(errno) = input::check()
    {
        return refuse(input::sentence(errno));
    }
    if args.pcapng.is_some() && wanted.len() != 1 {
        return refuse("--pcapng requires one scenario and one address family");
    }
    if args.real_time {
        let mut told: Vec<&str> = Vec::new();
        for (playable, _) in &wanted {
            let text = playable.text();
            if let Some(warning) = pace::warning(text)
                && !told.contains(&text.name)
            {
                told.push(text.name);
                say(&warning);
            }
        }
    }
    let signals = match playing::catch_signals() {
        Ok(signals) => signals,
        Err(status) => return status,
    };
    let cable = match enter() {
        Ok(cable) => cable,
        Err(status) => return status,
    };
    if args.calls
        && let Err(failed) = doctor::try_observing()
    {
        let ways_out = doctor::observing_ways_out(&failed).join("; or ");
        return skip(format!("SKIP: system calls cannot be observed here: {failed}; {ways_out}"));
    }
    let drawing = match args.format {
        Format::Text if args.slow => Drawing::StepByStep,
        Format::Text if wanted.len() == 1 || args.jobs == 1 => Drawing::Live,
        _ => Drawing::Nothing,
    };
    let jobs = if drawing == Drawing::Nothing { args.jobs.into() } else { 1 };
    let programs = invitations.into_iter().map(|one| (one.role, one.command)).collect();
    let (port, prepare) = (args.program.port(), args.preparation());
    let plan = Plan { wanted, programs, port, cable, jobs, drawing, prepare, is_last: |_| false };
    let Played { runs, interrupted_by } = match playing::play(plan, signals) {
        Ok(played) => played,
        Err(status) => return status,
    };
    let mut status = interrupted_by.map_or_else(|| status(&runs), exit::interrupted_by);
    if interrupted_by == Some(Signal::SIGPIPE) {
        return ExitCode::from(status);
    }
    if let (Some(file), [run]) = (&args.pcapng, runs.as_slice())
        && let Err(sentence) = report::write_pcapng(run, file)
    {
        say(&sentence);
        status = exit::NOT_POSSIBLE;
    }
    let mut out = match args.format {
        Format::Text => OutputBuffer::text(),
        _ => OutputBuffer::text(),
    };
    // The writer reports its failure itself.
    let _ = show(&mut out, args, drawing, &runs);
    let mut status = out.end(status);
    let decides =
        |run: &&Run| status == exit::SKIPPED || !matches!(run.verdict, Verdict::Skipped(_));
    if let (Format::Ndjson, None) = (args.format, interrupted_by)
        && let Some(why) = runs.iter().filter(decides).find_map(report::failure)
        && status != 0
    {
        status = Failure::new("lab", why).tell_object(status);
    }
    if let Some(signal) = interrupted_by {
        say(&format!("interrupted by {signal}"));
    }
    ExitCode::from(status)
}

/// Enters the best way to make hosts. Called first, because a process can only enter a user
/// namespace while it has one thread.
fn enter() -> Result<Cable, ExitCode> {
    let skipped =
        |why: &dyn std::fmt::Display| skip(format!("SKIP: {why}; tcpecho lab doctor says more"));
    let way = doctor::best().map_err(|findings| {
        let failed = findings.into_iter().find_map(|finding| finding.failed);
        skipped(
            &failed
                .map_or_else(|| "hosts cannot be created here".into(), |failed| failed.to_string()),
        )
    })?;
    way.enter().map_err(|failed| skipped(&failed))?;
    Ok(way.cable())
}

/// Shows a finished run step by step: the kernel's timers do not wait for a reader. Counts the
/// claims that hold as they are shown.
fn slowly(run: &Run, shown: &AtomicUsize) {
    let mut out = OutputBuffer::text();
    out.line_or_exit(&ladder::header(run.family, ladder::Look::of_stdout()));
    let moments = calls::shown(run);
    let mut pen = ladder::Pen::knowing(&moments);
    for moment in moments {
        if let (Place::Lab, tcpecho_lab::What::Step(sentence)) = (moment.place, &moment.what) {
            wait_for_enter(sentence);
        }
        if let Some(line) = pen.line(&moment, ladder::Look::of_stdout()) {
            out.line_or_exit(&line);
        }
        if matches!(moment.what, tcpecho_lab::What::Claim { holds: true, .. }) {
            shown.fetch_add(1, Relaxed);
        }
    }
}

fn wait_for_enter(sentence: &str) {
    eprint!("[Enter] {sentence} ");
    let _ = io::stdin().read_line(&mut String::new());
}

fn agent_command() -> Vec<OsString> {
    let program = std::env::current_exe().unwrap_or_else(|_| "tcpecho".into());
    vec![program.into_os_string(), "lab".into(), "agent".into()]
}

impl RunArgs {
    fn preparation(&self) -> Box<dyn Fn(&mut Stage) + Send + Sync> {
        let RunArgs { seed, real_time, calls, .. } = *self;
        Box::new(move |stage| {
            stage.two().wire.seed(seed);
            if real_time {
                stage.in_real_time();
            }
            if calls {
                stage.observe_calls();
            }
        })
    }
}

fn show(out: &mut impl Write, args: &RunArgs, drawing: Drawing, runs: &[Run]) -> io::Result<()> {
    match args.format {
        Format::Text if drawing != Drawing::Nothing => report::summary(out, runs, args.seed),
        Format::Text => {
            let is_drawn = |run: &&Run| run.has_begun() && !matches!(run.verdict, Verdict::Held(_));
            for run in runs.iter().filter(is_drawn) {
                ladder::draw(out, run)?;
            }
            report::summary(out, runs, args.seed)
        }
        Format::Markdown => report::markdown(out, runs, args.seed),
        Format::Mermaid => mermaid::mermaid(out, runs),
        Format::Ndjson => report::ndjson(out, runs, args.seed),
        Format::Html => page::html(out, runs, args.seed),
        Format::Junit => report::junit(out, runs),
    }
}

/// The exit status: 0 all held, 1 a claim failed, 2 a scenario broke, 77 none could be played here.
fn status(runs: &[Run]) -> u8 {
    let any = |test: fn(&Verdict) -> bool| runs.iter().any(|run| test(&run.verdict));
    if any(|verdict| matches!(verdict, Verdict::Failed(_))) {
        1
    } else if any(|verdict| matches!(verdict, Verdict::Broken(_))) {
        exit::NOT_POSSIBLE
    } else if any(|verdict| matches!(verdict, Verdict::Skipped(_))) {
        exit::SKIPPED
    } else {
        0
    }
}
