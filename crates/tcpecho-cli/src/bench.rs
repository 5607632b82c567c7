//! `tcpecho bench`: load, measured honestly (wrk2's response times, neper's plainness).
//!
//! The load generator is the crate `tcpecho-load`. This module has its arguments, starts servers, and shows
//! results: text, JSON, HTML and HDR logs.

mod args;
mod compare;
mod find_rate;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod histogram;
mod machine;
mod merge;
mod preflight;
mod progress;
mod report;
mod server;
mod visit;

use std::{path::Path, process::ExitCode};

use nix::sys::signal::Signal;
use tcpecho::Ending;
use tcpecho_load::Event;

pub(crate) use self::args::BenchArgs;
use self::{
    args::{BenchCommand, Plan, Target},
    merge::not_saved,
    progress::Progress,
    report::{
        Summary,
        hdr::Log,
        html,
        look::Look,
        plot,
        summary::{BaselinePart, ErrorPart},
        table,
        text::printable,
    },
    visit::{BenchError, Setup},
};
use crate::{
    exit,
    output::{self, OutputBuffer, OutputFile, Unwritten, is_stdout_stderr, lost_as_json, sentence},
    signals::Signals,
    tell::{Failure, say, tell_judgements},
    threshold::Judgement,
};

/// Measures, reports, and says how it went.
pub(crate) fn run(args: &BenchArgs) -> ExitCode {
    if let Some(BenchCommand::Report(args)) = &args.command {
        return merge::run(args);
    }
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(sentence) => {
            let failure = Failure::usage(sentence.to_string());
            return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
        }
    };
    let lists = [("--cpu", &plan.cpus), ("--server-cpu", &plan.server_cpus)];
    let refused = lists.iter().find_map(|(option, cpus)| machine::refused(option, cpus.as_deref()));
    if let Some(sentence) = refused {
        return ExitCode::from(Failure::usage(sentence).tell(exit::NOT_POSSIBLE));
    }
    // Read before the signals are caught: a pipe that nobody writes to can be interrupted.
    let baseline = match baseline(&plan) {
        Ok(baseline) => baseline,
        Err(sentence) => return ExitCode::from(tell(BenchError::Impossible(sentence))),
    };
    let signals = match Signals::catch(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]) {
        Ok(signals) => signals.with_reader(),
        Err(errno) => {
            let failure = Failure::new("signalfd", format!("signalfd: {errno}"));
            return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
        }
    };
    machine::raise_descriptors(plan.numbers().count() as u64 + preflight::OTHERS);
    if let Some(sentence) = preflight::refused(&plan) {
        return ExitCode::from(Failure::new("limit", sentence).tell(exit::NOT_POSSIBLE));
    }
    let outcome = match &plan.target {
        Target::Several(servers) => several(&plan, servers, &signals),
        Target::Elsewhere(_) | Target::Own(_) => single(&plan, baseline.as_ref(), &signals),
    };
    ExitCode::from(outcome.unwrap_or_else(tell))
}

/// Says why there is no result.
fn tell(error: BenchError) -> u8 {
    match error {
        BenchError::Impossible(sentence) => {
            Failure::new("bench", sentence).tell(exit::NOT_POSSIBLE)
        }
        BenchError::Unreachable(attempts) => {
            Failure::unconnected(attempts).tell(exit::NOT_CONNECTED)
        }
        BenchError::Unresolved(error) => {
            Failure::unresolved(tcpecho::Diagnosis::of_lookup(error)).tell(exit::NOT_CONNECTED)
        }
        // The user knows; a program that reads the output does not.
        BenchError::Interrupted(signal) => {
            let word = signal.map_or("a signal", Signal::as_str);
            let status = signal.map_or(exit::NOT_POSSIBLE, exit::interrupted_by);
            Failure::interrupted("connect", word).tell_object(status)
        }
        BenchError::Unwritten(why) => why.status(0),
    }
}

fn several(
    plan: &Plan,
    servers: &[args::ComparedServer],
    signals: &Signals,
) -> Result<u8, BenchError> {
    let page = output(plan.html.as_deref())?;
    let comparison = compare::run(plan, servers, signals)?;
    let json = || format!("{:#}\n", comparison.json());
    let text = if plan.json { json() } else { comparison.page(plan.quiet, Look::of_stdout()) };
    let saved = save(page, || html::comparison(&comparison));
    print(&text, plan.json, signals)?;
    Ok(saved.map_or_else(|sentence| not_saved(&sentence), |()| comparison.status()))
}

/// A file for a result, if one was asked for.
fn output(path: Option<&Path>) -> Result<Option<OutputFile>, BenchError> {
    path.map(OutputFile::open).transpose().map_err(BenchError::Impossible)
}

/// The result to compare with: known to be one before anything is measured.
fn baseline(plan: &Plan) -> Result<Option<Summary>, String> {
    let Some(path) = &plan.baseline else { return Ok(None) };
    let summary = merge::read(path)?;
    let wrong = |why: &str| Err(format!("{}: {why}", printable(&path.display().to_string())));
    // An HDR log does not say what it is of.
    let ours = plan.workload.name;
    let theirs = summary.settings.workload.as_deref().unwrap_or("an unknown workload");
    let is_unlike = summary.settings.workload.is_some() && theirs != ours;
    if is_unlike || summary.unit() != plan.workload.unit {
        return wrong(&format!("a result of {theirs} is not a baseline for {ours}"));
    }
    let figures = summary.figures();
    let mut relative = plan.fail_if.iter().filter(|condition| condition.is_relative());
    match relative.find_map(|condition| condition.lacks(&figures)) {
        Some(why) => wrong(&why),
        None => Ok(Some(summary)),
    }
}

fn single(plan: &Plan, baseline: Option<&Summary>, signals: &Signals) -> Result<u8, BenchError> {
    let (page, mut log) = (output(plan.html.as_deref())?, output(plan.hdr.as_deref())?);
    let mut setup = visit::prepare(plan, signals)?;
    setup.remarks = preflight::look(plan, &setup);
    if !plan.quiet {
        for remark in &setup.remarks {
            say(remark);
        }
    }
    let (mut summary, logged, search) = if let Some(condition) = &plan.find_rate {
        let found = find_rate::run(plan, condition, &mut setup, signals)?;
        let last = found.rate.map_or_else(
            || format!("no rate was found at which {condition} holds"),
            |per_second| format!("{condition} holds up to {}/s", crate::units::rate(per_second)),
        );
        (found.summary, Ok(()), Some((last, found.rate.is_some())))
    } else {
        let (summary, logged) = measure(plan, &mut setup, signals, log.take())?;
        (summary, logged, None)
    };
    // The server goes before the report is written: it has been measured.
    let said = if plan.quiet || !is_stdout_stderr() { Vec::new() } else { setup.remarks.clone() };
    drop(setup);
    summary.baseline = plan.baseline.as_deref().zip(baseline).map(|(path, before)| {
        BaselinePart::of(printable(&path.display().to_string()), &summary, before)
    });
    let saved = save(page, || html::run(&summary));
    show(plan, &summary, &said, search.as_ref().map(|(last, _)| last.as_str()), signals)?;
    let (figures, before) = (summary.figures(), baseline.map(Summary::figures));
    let judgements: Vec<Judgement> =
        plan.fail_if.iter().map(|one| one.judge(&figures, before.as_ref())).collect();
    tell_judgements(&judgements);
    // --quiet leaves the notes out, but this is an error.
    let death = summary.notes.iter().find(|note| note.starts_with("the server ended"));
    if let Some(death) = death.filter(|_| plan.quiet) {
        say(death);
    }
    if summary.answered_nothing() && summary.result.interrupted_by.is_none() {
        say(&unanswered(&summary.errors));
    }
    // The result is there; a file beside it is not.
    let unsaved: Vec<Option<String>> =
        [logged, saved.map_err(Some)].into_iter().filter_map(Result::err).collect();
    for sentence in unsaved.iter().flatten() {
        say(sentence);
    }
    let held = search.is_none_or(|(_, held)| held);
    Ok(match status(&summary) {
        _ if !unsaved.is_empty() => exit::NOT_POSSIBLE,
        0 if judgements.iter().any(|one| one.failed) || !held => 1,
        status => status,
    })
}

/// One run, with what it writes while it goes on; and why not all of the log of --hdr was written, if that has not been said.
fn measure(
    plan: &Plan,
    setup: &mut Setup,
    signals: &Signals,
    log: Option<OutputFile>,
) -> Result<(Summary, Result<(), Option<String>>), BenchError> {
    let log = log.map(OutputFile::into_file).transpose().map_err(BenchError::Impossible)?;
    let log = log.map(|file| Log::new(file, plan.schedule.is_some()));
    let mut log = plan.hdr.as_ref().zip(log);
    let length = plan.count.is_none().then_some(plan.duration);
    let mut progress = Progress::new(plan.quiet, length);
    let unit = plan.workload.unit.words();
    let mut broken = None;
    let mut logged = Ok(());
    let mut is_told = false;
    let mut stdout = OutputBuffer::stdout(lost_as_json);
    let measured = visit::visit(plan, setup, signals, &mut |event, row| {
        progress.see(event, row, unit);
        match (event, &mut log) {
            (Event::Begin, Some((_, log))) => log.begin(),
            // A log with a hole is not continued; the run goes on for its result.
            (Event::Interval(interval) | Event::Tail(interval), Some((path, log)))
                if logged.is_ok() =>
            {
                let added = log.add(interval);
                logged = added.map_err(|error| sentence("write", path, &error));
                is_told = logged.is_err();
                if let Err(sentence) = &logged {
                    progress.clear();
                    say(&format!("{sentence}; the run goes on without its log"));
                }
            }
            _ => {}
        }
        let line = match (event, row) {
            (Event::Interval(_), Some(row)) if plan.json_stream => serde_json::to_string(row).ok(),
            _ => None,
        };
        if let Some(line) = line {
            stdout.line(&line);
        }
        if let Err(why @ Unwritten::Failed(_)) = stdout.poll_now()
            && broken.is_none()
        {
            broken = Some(BenchError::Unwritten(why));
        }
        if broken.is_some() {
            signals.output_failed();
        }
    })?;
    progress.clear();
    broken.map_or(Ok(()), Err)?;
    if let Some((path, log)) = log {
        let closed = log.close().map_err(|error| sentence("write", path, &error));
        logged = logged.and(closed);
    }
    stdout.finish(Some(signals)).map_err(BenchError::Unwritten)?;
    Ok((Summary::of(&measured), logged.map_err(|why| (!is_told).then_some(why))))
}

fn show(
    plan: &Plan,
    summary: &Summary,
    said: &[String],
    last: Option<&str>,
    signals: &Signals,
) -> Result<(), BenchError> {
    let json = if plan.json_stream {
        serde_json::to_string(summary)
    } else {
        serde_json::to_string_pretty(summary)
    };
    let look = Look::of_stdout();
    let mut text = match json {
        Ok(json) if plan.json || plan.json_stream => json + "\n",
        Ok(_) => table::page(&summary.without(said), plan.quiet, look),
        Err(error) => return Err(BenchError::Impossible(error.to_string())),
    };
    if !(plan.json || plan.json_stream) {
        if plan.plot {
            text += &plot::draw(summary, look);
        }
        if let Some(last) = last {
            text = format!("{text}{last}\n");
        }
    }
    print(&text, plan.json || plan.json_stream, signals)
}

/// The page of --html. That it cannot be written does not keep the result from stdout.
fn save(page: Option<OutputFile>, html: impl FnOnce() -> String) -> Result<(), String> {
    page.map_or(Ok(()), |page| page.write(&html()))
}

/// Says that nothing was answered, and what was seen instead: wrong bytes before all, then what happened most often.
fn unanswered(errors: &[ErrorPart]) -> String {
    let is_wrong = |error: &&ErrorPart| error.ending == Ending::Mismatch.word();
    let most = || errors.iter().max_by_key(|error| error.count);
    match (errors.iter().find(is_wrong), most()) {
        (Some(ErrorPart { count, first, .. }), _) => {
            let answers = if *count == 1 {
                "1 wrong answer".into()
            } else {
                format!("{count} wrong answers")
            };
            format!("no right answer came in the measured time, and {answers}: {first}")
        }
        (None, Some(ErrorPart { ending, count, first })) => {
            format!("no request was answered in the measured time; {count} {ending}: {first}")
        }
        (None, None) => "no request was answered in the measured time".to_owned(),
    }
}

/// How it went, by the worst that happened.
fn status(summary: &Summary) -> u8 {
    let signal = summary.result.interrupted_by.as_deref();
    match signal.and_then(|signal| signal.parse::<Signal>().ok()) {
        _ if summary.count_of(Ending::Mismatch) > 0 => 1,
        Some(signal) => exit::interrupted_by(signal),
        None if nobody_there(summary) => exit::NOT_CONNECTED,
        None if summary.error_count() > 0 || summary.answered_nothing() => exit::BROKEN,
        None => 0,
    }
}

/// Whether there never was a connection, and not for want of time.
fn nobody_there(summary: &Summary) -> bool {
    let result = &summary.result;
    result.connections_made == Some(0)
        && result.connections_open == Some(0)
        && result.messages == 0
        && summary.error_count() > 0
}

/// A report on stdout; a reader that has left is no failure.
fn print(text: &str, is_json: bool, signals: &Signals) -> Result<(), BenchError> {
    let print = if is_json { output::print } else { output::print_text };
    match print(text, Some(signals)) {
        Ok(()) | Err(Unwritten::ReaderLeft) => Ok(()),
        Err(why) => Err(BenchError::Unwritten(why)),
    }
}
