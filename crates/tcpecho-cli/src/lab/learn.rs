//! `tcpecho lab learn`: scenarios with questions before their steps; one, or all of them as a course.
//!
//! A scenario runs first and is shown step by step afterwards: the kernel's timers do not wait
//! for a reader, so a run that stops before each step would be a different run. Questions
//! and answers come from what happened ([`tcpecho_lab::quiz`]).

mod ahead;
mod course;
mod lesson;
mod student;

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, ValueEnum};
use nix::sys::signal::Signal;
use tcpecho_lab::{
    Family,
    run::{Run, Verdict},
    scenario::Scenario,
};

pub(super) use self::lesson::experiment;
use self::{
    ahead::Ahead,
    lesson::Lesson,
    student::{Left, Score, Student, show},
};
use super::{
    enter,
    families::ShortFamily,
    ladder,
    playing::catch_signals,
    programs::{Verb, needs_a_program},
    refuse, report, scenario_names, status, unknown,
};
use crate::number::number;
use crate::{
    exit, input,
    output::{OutputBuffer, print_text},
    tell::say,
};

/// Interactive quiz: predict each step, then watch it happen.
///
/// Without a name it is a course of all scenarios, in the order of `lab list`. Each scenario is played before its questions
/// are asked, the next one while you answer. q, Ctrl-D or Ctrl-C leaves, and the last line says how to go on.
#[derive(Debug, Args)]
pub(super) struct LearnArgs {
    /// The scenario's name [default: a course of all scenarios]
    name: Option<String>,

    /// Go on with the course at this scenario
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    from: Option<String>,

    /// Score of the scenarios before, as the last line of the course says it
    #[arg(long, value_name = "RIGHT/ASKED", requires = "from")]
    score: Option<Score>,

    /// Address family
    #[arg(long, value_name = "FAMILY", value_enum, default_value = "4")]
    family: OneFamily,

    #[command(flatten)]
    short: ShortFamily,

    /// Seed for the questions and the order of their answers [default: random]
    #[arg(long, value_name = "N", value_parser = number::<u64>(0, u64::MAX))]
    seed: Option<u64>,
}

/// The address family of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OneFamily {
    #[value(name = "4")]
    V4,
    #[value(name = "6")]
    V6,
}

pub(super) fn run(args: &LearnArgs) -> ExitCode {
    match learn(args) {
        Ok(status) | Err(status) => status,
    }
}

fn learn(args: &LearnArgs) -> Result<ExitCode, ExitCode> {
    let one = args.name.as_deref().map(named).transpose()?;
    let from = args.from.as_deref().map(named).transpose()?;
    input::check().map_err(|errno| refuse(input::sentence(errno)))?;
    let signals = catch_signals()?;
    let cable = enter()?;
    let family = args.family();
    let seed = args.seed.unwrap_or_else(any_seed);
    let mut player = Ahead::new(family, cable, seed);
    let mut student = Student::new(signals, args.score.unwrap_or_default());
    let status = match one {
        Some(scenario) => one_lesson(scenario, &mut player, &mut student, seed),
        None => course::take(from, args, &mut player, &mut student, seed),
    };
    player.end();
    Ok(ExitCode::from(status))
}

impl LearnArgs {
    fn is_over_ipv6(&self) -> bool {
        self.family() == Family::V6
    }

    fn family(&self) -> Family {
        self.short.family().unwrap_or(match self.family {
            OneFamily::V4 => Family::V4,
            OneFamily::V6 => Family::V6,
        })
    }
}

fn named(name: &str) -> Result<&'static Scenario, ExitCode> {
    Scenario::named(name).ok_or_else(|| {
        needs_a_program(name, Verb::Other).unwrap_or_else(|| unknown(name, scenario_names()))
    })
}

fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ u64::from(std::process::id())
}

/// Asks about one scenario. Who stops answering sees the rest of it all the same.
fn one_lesson(
    scenario: &'static Scenario,
    player: &mut Ahead,
    student: &mut Student,
    seed: u64,
) -> u8 {
    let text = &scenario.text;
    show(&format!("{}: {} ({})", text.name, text.title, text.source));
    show(text.question);
    let run = match player.play(scenario, student.signals()) {
        Ok(run) => run,
        Err(signal) => return closed_by(Left::Signal(signal)),
    };
    if !matches!(run.verdict, Verdict::Held(_)) {
        return failed(&run, seed);
    }
    let lesson = Lesson::about(&run, seed);
    show(&format!(
        "{}; answer with a number or the word; q stops the questions",
        lesson.count_of_questions()
    ));
    lesson.teach(student);
    let left = student.left().unwrap_or(Left::Quit);
    let score = format!("{} (--seed {seed})", student.score());
    if let Left::Signal(signal) = left {
        // The terminal may be gone.
        let _ = (signal != Signal::SIGPIPE).then(|| print_text(&format!("{score}\n"), None));
    } else {
        show("");
        lesson.show_texts();
        show(&score);
    }
    closed_by(left)
}

/// Shows a run that did not do what the scenario says: it teaches nothing.
fn failed(run: &Run, seed: u64) -> u8 {
    let mut out = OutputBuffer::text();
    let runs = std::slice::from_ref(run);
    // The writer reports its failure itself.
    let _ = ladder::draw(&mut out, run).and_then(|()| report::summary(&mut out, runs, seed));
    out.end(status(runs))
}

/// The exit status of a student who has left; an error is reported.
fn closed_by(left: Left) -> u8 {
    match left {
        Left::Quit | Left::EndOfInput => 0,
        Left::Signal(signal) => exit::interrupted_by(signal),
        Left::Failed(errno) => {
            say(&input::sentence(errno));
            exit::NOT_POSSIBLE
        }
    }
}
