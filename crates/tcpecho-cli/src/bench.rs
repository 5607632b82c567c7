//! `tcpecho bench`: load, measured honestly (wrk2's response times, neper's plainness).
//!
//! A run is a [`crew`] of threads, each a [`hand`] with its flows and a driver under it. Requests that are
//! due on a schedule are measured from when they were due; every byte is compared; the generator
//! watches itself.

mod args;
mod clock;
mod compare;
mod crew;
mod driver;
mod find_rate;
mod flow;
mod hand;
mod histogram;
mod machine;
mod merge;
mod news;
mod pace;
mod pattern;
mod preflight;
mod progress;
mod report;
mod server;
mod tally;
mod threshold;
mod usage;
mod visit;
mod watch;
mod workload;

use std::{io, path::Path, process::ExitCode};

use nix::sys::signal::Signal;
use tcpecho::Ending;

pub(crate) use self::{
    args::BenchArgs,
    merge::{ReportArgs, run as report},
};
use self::{
    args::{Plan, Target},
    crew::Event,
    progress::Progress,
    report::{Summary, hdr::Log, html, plot, table},
    visit::{Place, Trouble},
};
use crate::{
    exit,
    output::{self, OutputBuffer, Unwritten, lost_as_json, write_file},
    signals::Signals,
    tell::{Failure, of_unresolved, say},
};

/// Measures, reports, and says how it went.
pub(crate) fn run(args: &BenchArgs) -> ExitCode {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(sentence) => {
            let failure = Failure::usage(sentence.to_string());
            return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
        }
    };
    let signals = match Signals::catch(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]) {
        Ok(signals) => signals.with_reader(),
        Err(errno) => {
            let failure = Failure::new("signalfd", format!("signalfd: {errno}"));
            return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
        }
    };
    machine::raise_descriptors(plan.numbers().count() as u64 + preflight::OTHERS);
    let outcome = match &plan.target {
        Target::Several(contenders) => several(&plan, contenders, &signals),
        Target::Elsewhere(_) | Target::Own(_) => single(&plan, &signals),
    };
    ExitCode::from(outcome.unwrap_or_else(tell))
}

/// Says why there is no result.
fn tell(trouble: Trouble) -> u8 {
    match trouble {
        Trouble::Impossible(sentence) => Failure::new("bench", sentence).tell(exit::NOT_POSSIBLE),
        Trouble::Unreachable(attempts) => Failure::unconnected(attempts).tell(exit::NOT_CONNECTED),
        Trouble::Unresolved(error) => {
            Failure::unresolved(of_unresolved(error)).tell(exit::NOT_CONNECTED)
        }
        // The user knows; a program that reads the output does not.
        Trouble::Interrupted(signal) => {
            let word = signal.map_or("a signal", Signal::as_str);
            let status = signal.map_or(exit::NOT_POSSIBLE, exit::interrupted_by);
            Failure::interrupted("connect", word).tell_object(status)
        }
        Trouble::Unwritten(why) => why.status(0),
        Trouble::Told(status) => status,
    }
}

fn several(plan: &Plan, contenders: &[args::Contender], signals: &Signals) -> Result<u8, Trouble> {
    let comparison = compare::run(plan, contenders, signals)?;
    let text = if plan.json { format!("{:#}\n", comparison.json()) } else { comparison.page() };
    let saved = save(plan, || html::comparison(&comparison));
    print(&text, signals)?;
    saved?;
    Ok(comparison.status())
}

fn single(plan: &Plan, signals: &Signals) -> Result<u8, Trouble> {
    // Read first: a file that is wrong is better known before the run than after.
    let baseline = plan.baseline.as_deref().map(merge::read).transpose();
    let baseline = baseline.map_err(Trouble::Impossible)?.map(|summary| summary.figures());
    let mut place = visit::prepare(plan, signals)?;
    place.remarks = preflight::look(plan, &place);
    if !plan.quiet {
        for remark in &place.remarks {
            say(remark);
        }
    }
    let (summary, search) = match &plan.find_rate {
        Some(condition) => {
            let found = find_rate::run(plan, condition, &mut place, signals)?;
            let last = found.rate.map_or_else(
                || format!("{condition} held at no rate"),
                |per_second| format!("{condition} holds up to {}/s", report::rate(per_second)),
            );
            (found.summary, Some((last, found.rate.is_some())))
        }
        None => (measure(plan, &mut place, signals)?, None),
    };
    // The server goes before the report is written: it has been measured.
    drop(place);
    show(plan, &summary, search.as_ref().map(|(last, _)| last.as_str()), signals)?;
    let failed: Vec<String> = plan
        .fail_if
        .iter()
        .filter_map(|condition| condition.holds(&summary.figures(), baseline.as_ref()))
        .collect();
    for sentence in &failed {
        say(sentence);
    }
    let held = search.is_none_or(|(_, held)| held);
    Ok(match status(&summary) {
        0 if !failed.is_empty() || !held => 1,
        status => status,
    })
}

/// One run, with what it writes while it goes on.
fn measure(plan: &Plan, place: &mut Place, signals: &Signals) -> Result<Summary, Trouble> {
    let fault = |path: &Path, error: &io::Error| {
        Trouble::Impossible(format!("{}: {error}", path.display()))
    };
    let mut log = match &plan.hdr {
        Some(path) => Some((path, Log::create(path).map_err(|error| fault(path, &error))?)),
        None => None,
    };
    let length = plan.count.is_none().then_some(plan.duration);
    let mut progress = Progress::new(plan.quiet, length);
    let unit = plan.workload.unit.words();
    let mut broken = None;
    let mut stdout = OutputBuffer::stdout(lost_as_json);
    let measured = visit::visit(plan, place, signals, &mut |event, row| {
        progress.see(event, row, unit);
        match (event, &mut log) {
            (Event::Begin, Some((_, log))) => log.begin(),
            (Event::Interval(interval) | Event::Tail(interval), Some((path, log))) => {
                if let Err(error) = log.add(interval) {
                    broken.get_or_insert_with(|| fault(path, &error));
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
            broken = Some(Trouble::Unwritten(why));
        }
        if broken.is_some() {
            signals.output_failed();
        }
    })?;
    progress.clear();
    broken.map_or(Ok(()), Err)?;
    if let Some((path, log)) = log {
        log.close().map_err(|error| fault(path, &error))?;
    }
    stdout.finish(Some(signals)).map_err(Trouble::Unwritten)?;
    Ok(Summary::of(&measured))
}

fn show(
    plan: &Plan,
    summary: &Summary,
    last: Option<&str>,
    signals: &Signals,
) -> Result<(), Trouble> {
    let json = if plan.json_stream {
        serde_json::to_string(summary)
    } else {
        serde_json::to_string_pretty(summary)
    };
    let mut text = match json {
        Ok(json) if plan.json || plan.json_stream => json + "\n",
        Ok(_) => table::page(summary),
        Err(error) => return Err(Trouble::Impossible(error.to_string())),
    };
    if !(plan.json || plan.json_stream) {
        if plan.plot {
            text += &plot::draw(summary);
        }
        if let Some(last) = last {
            text = format!("{text}{last}\n");
        }
    }
    let saved = save(plan, || html::run(summary));
    print(&text, signals)?;
    saved
}

/// The page of --html. That it cannot be written does not keep the result from stdout.
fn save(plan: &Plan, page: impl FnOnce() -> String) -> Result<(), Trouble> {
    let Some(path) = &plan.html else { return Ok(()) };
    write_file(path, page().as_bytes()).map_err(|sentence| {
        say(&sentence);
        Trouble::Told(exit::NOT_POSSIBLE)
    })
}

/// How it went, by the worst that happened.
fn status(summary: &Summary) -> u8 {
    let signal = summary.result.interrupted_by.as_deref();
    match signal.and_then(|signal| signal.parse::<Signal>().ok()) {
        _ if summary.count_of(Ending::Mismatch) > 0 => 1,
        Some(signal) => exit::interrupted_by(signal),
        None if nobody_there(summary) => exit::NOT_CONNECTED,
        None if summary.error_count() > 0 => exit::BROKEN,
        None => 0,
    }
}

/// Whether there never was a connection, and not for want of time.
fn nobody_there(summary: &Summary) -> bool {
    let result = &summary.result;
    result.connections_made + result.connections_open + result.messages == 0
        && summary.error_count() > 0
}

/// A report on stdout; a reader that has left is no failure.
fn print(text: &str, signals: &Signals) -> Result<(), Trouble> {
    match output::print(text, Some(signals)) {
        Ok(()) | Err(Unwritten::ReaderLeft) => Ok(()),
        Err(why) => Err(Trouble::Unwritten(why)),
    }
}
