//! `tcpecho bench`: load, measured honestly (wrk2's response times, neper's plainness).
//!
//! A run is a [`crew`] of threads, each a [`hand`] with its flows and a driver under it. Requests that are
//! due on a schedule are measured from when they were due; every byte is compared; the generator
//! watches itself.

mod args;
mod clock;
mod crew;
mod driver;
mod flow;
mod hand;
mod histogram;
mod machine;
mod news;
mod pace;
mod pattern;
mod report;
mod server;
mod size;
mod tally;
mod threshold;
#[path = "bench/usage.rs"]
mod usage;
mod visit;
mod watch;
mod workload;

use std::process::ExitCode;

use nix::sys::signal::Signal;

pub(crate) use self::args::BenchArgs;
use self::{
    args::{Plan, Target},
    report::{Measured, table},
    visit::Trouble,
};
use crate::{
    exit,
    signals::Signals,
    tell::{explain, say, seen},
};

/// Measures, reports, and says how it went.
pub(crate) fn run(args: &BenchArgs) -> ExitCode {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(sentence) => {
            say(&sentence.to_string());
            return ExitCode::from(exit::NOT_POSSIBLE);
        }
    };
    let signals = match Signals::catch(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]) {
        Ok(signals) => signals,
        Err(errno) => {
            say(&format!("signalfd: {errno}"));
            return ExitCode::from(exit::NOT_POSSIBLE);
        }
    };
    machine::raise_descriptors();
    let outcome = match &plan.target {
        Target::Several(_) => Ok(exit::NOT_POSSIBLE),
        _ => single(&plan, &signals),
    };
    ExitCode::from(outcome.unwrap_or_else(|trouble| tell(&trouble)))
}

/// Says why there is no result.
fn tell(trouble: &Trouble) -> u8 {
    match trouble {
        Trouble::Impossible(sentence) => {
            say(sentence);
            exit::NOT_POSSIBLE
        }
        Trouble::Unreachable(attempts) => {
            for attempt in attempts {
                explain(attempt.ending, &seen(attempt));
            }
            exit::NOT_CONNECTED
        }
        Trouble::Unresolved(error) => {
            explain(tcpecho::Ending::ResolveFailed, &error.to_string());
            exit::NOT_CONNECTED
        }
        Trouble::Interrupted(signal) => signal.map_or(exit::NOT_POSSIBLE, exit::interrupted_by),
    }
}

fn single(plan: &Plan, signals: &Signals) -> Result<u8, Trouble> {
    let mut place = visit::prepare(plan, signals)?;
    let measured = visit::visit(plan, &mut place, signals, &mut |_| {})?;
    print!("{}", table::page(&measured));
    Ok(status(&measured))
}

/// How it went, by the worst that happened.
fn status(measured: &Measured) -> u8 {
    let errors = measured.errors();
    let connections = measured.outcome.connecting.connections + measured.total().connections;
    match measured.outcome.stopped {
        _ if errors.count_of(tcpecho::Ending::Mismatch) > 0 => 1,
        _ if connections == 0 => exit::NOT_CONNECTED,
        Some(signal) => exit::interrupted_by(signal),
        None if measured.error_count() > 0 => exit::BROKE,
        None => 0,
    }
}
