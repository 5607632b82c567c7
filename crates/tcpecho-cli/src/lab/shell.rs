//! `tcpecho lab shell`: two hosts, a wire between them, and a command line for all three.
//!
//! On a terminal it has a prompt, and events are drawn above it. A script on stdin is executed
//! line by line and ends at the first command that is refused or not met.

pub(super) mod command;
mod complete;
mod desk;
mod edit;
mod prompt;

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use tcpecho_lab::{Family, Options, TwoHosts};
use tcpecho_os::errno::io_words;

use self::{
    desk::{Desk, Outcome},
    prompt::{Prompt, Typed},
};
use super::{
    enter,
    families::{Families, ShortFamily},
    ladder::{Ladder, Look, Sink},
    refuse,
};
use crate::number::number;
use crate::{exit, input, output::ExitWithReader, tell::say};

#[derive(Debug, Args)]
pub(super) struct ShellArgs {
    /// Address family of the sockets that are shown; the hosts have addresses of both families
    #[arg(long, value_name = "FAMILY", value_enum, default_value = "4")]
    family: Families,

    #[command(flatten)]
    short: ShortFamily,

    /// Seed of random rules such as `drop 10% of data`; the kernel still chooses ports and sequence
    /// numbers
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u64>(0, u64::MAX))]
    seed: u64,
}

/// The screen: events and the results of commands, never two in one line.
#[derive(Clone)]
struct Screen {
    sink: Arc<Mutex<Sink>>,
    look: fn() -> Look,
}

impl Screen {
    fn show(&self, text: &str) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink(text);
    }
}

fn look() -> Look {
    Look { names: true, words: true, ..Look::of_stdout() }
}

/// What ends a command that waits, and how long a line may be.
pub(crate) fn limits() -> Vec<(String, String)> {
    let line = format!(
        "at most {} characters at the prompt, and {} KiB in a script",
        edit::LONGEST,
        prompt::LONGEST >> 10
    );
    let rows = command::limits().into_iter().chain([("a line", line)]);
    rows.map(|(what, limit)| (what.to_owned(), limit)).collect()
}

pub(super) fn run(args: &ShellArgs) -> ExitCode {
    if let Err(errno) = input::check() {
        return refuse(input::sentence(errno));
    }
    let signals = match prompt::catch_signals() {
        Ok(signals) => signals,
        Err(errno) => return refuse(format!("signalfd: {errno}")),
    };
    let cable = match enter() {
        Ok(cable) => cable,
        Err(status) => return status,
    };
    let (family, both_families) = match (args.short.family(), args.family) {
        (Some(family), _) => (family, false),
        (None, Families::V4) => (Family::V4, false),
        (None, Families::V6) => (Family::V6, false),
        (None, Families::Both) => (Family::V4, true),
    };
    let options = Options { family, both_families, cable, ..Options::default() };
    let two = match TwoHosts::new(&options) {
        Ok(two) => two,
        Err(failed) => {
            say(&format!("SKIP: {failed}; tcpecho lab doctor says more"));
            return ExitCode::from(exit::SKIPPED);
        }
    };
    two.wire.seed(args.seed);
    let (mut prompt, sink) = Prompt::new(signals);
    // A script may wait for a long time before it shows something.
    let _watch = (!prompt.is_interactive()).then(ExitWithReader::start);
    let screen = Screen { sink: Arc::new(Mutex::new(sink)), look };
    let drawn = screen.clone();
    let sink: Sink = Box::new(move |line| drawn.show(line));
    let ladder = Ladder::draw_to(&two.timeline, look, sink);
    let looking = match two.keep_looking() {
        Ok(looking) => looking,
        Err(failed) => {
            say(&failed.to_string());
            return ExitCode::from(exit::NOT_POSSIBLE);
        }
    };
    let mut desk = Desk::new(two, &options, screen, prompt.is_interactive());
    let status = obey(&mut prompt, &mut desk, &ladder);
    drop(looking);
    drop(ladder);
    ExitCode::from(status)
}

/// Ends at `quit`, at the end of the input, and, in a script, at the first error: with 1 if an
/// `expect` or `wait` is not met, else with 2.
fn obey(prompt: &mut Prompt, desk: &mut Desk, ladder: &Ladder) -> u8 {
    let interactive = prompt.is_interactive();
    let patience = Duration::from_secs(10);
    desk.introduce();
    for number in 1.. {
        ladder.catch_up(patience);
        let line = match prompt.next_line(&|before| desk.complete(before)) {
            Ok(Typed::Line(line)) => line,
            Ok(Typed::End) => return 0,
            Ok(Typed::Signal(signal)) => return exit::interrupted_by(signal),
            Err(why) => {
                say(&format!("{}: {}", input::READ, io_words(&why)));
                return exit::NOT_POSSIBLE;
            }
        };
        let outcome = desk.obey(&line, ladder, patience, &|| prompt.is_interrupted());
        // A command that did not wait has ended before Ctrl-C could end it.
        while prompt.is_interrupted() {}
        let (complaint, status) = match outcome {
            Outcome::Done => continue,
            Outcome::Quit => return 0,
            Outcome::Refused(why) => (why, exit::NOT_POSSIBLE),
            Outcome::Unmet(why) => (why, 1),
        };
        if interactive {
            desk.answer(&complaint, ladder, patience);
        } else {
            ladder.catch_up(patience);
            say(&format!("line {number}: {complaint}"));
            return status;
        }
    }
    0
}
