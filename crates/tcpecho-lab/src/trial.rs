//! The table of trials: the scenarios' boundary conditions for any program.
//!
//! A scenario is played with agents, which make one call when they are asked to; a program under test makes its own calls. So each
//! scenario may have a trial, in which the program takes the client's or the server's place, opposite an agent. A client gets
//! lines on standard input and must print what comes back; a server must echo. They are judged by the wire, the kernel's
//! tables, `/proc`, their streams and their exit status.
//!
//! A *pair* has a program under test at either end, and only the hosts and the wire act: it shows how two programs behave
//! with each other.
//!
//! Each claim about the program names the [`Fault`] that its failure proves; the gravest fault is
//! the verdict.

use std::ffi::OsString;

use crate::run::Run;
use crate::side::Side;
use crate::stage::{Played, Stage};
use crate::text::Text;
use crate::two_hosts::Options;

use self::harness::Harness;

/// Declares the modules of conditions, and a table of their rows. The rows of [`segments`] stand where it is named.
macro_rules! table {
    ($($before:ident)* ; segments::$role:ident ; $($after:ident)*) => {
        $(mod $before;)*
        $(mod $after;)*
        pub(super) static TABLE: &[&crate::trial::Trial] = &[
            $(&$before::TRIAL,)*
            &crate::trial::segments::LOST.$role,
            &crate::trial::segments::DOUBLED.$role,
            &crate::trial::segments::REORDERED.$role,
            &crate::trial::segments::CORRUPTED.$role,
            $(&$after::TRIAL,)*
        ];
    };
}

mod client;
mod command;
mod harness;
mod pair;
mod segments;
mod server;

pub use crate::conduct::{Conduct, Fault};
pub use command::CommandLine;

/// The beginning of the reason if a server under test never listened.
pub const NOT_LISTENING: &str = "the program does not listen";

/// A boundary condition for a program under test, or for two.
pub struct Trial {
    /// The sides that programs under test take.
    pub sides: &'static [Side],
    /// What it says; the name is the scenario's where there is one.
    pub text: Text,
    /// Makes the steps and claims of the text.
    play: fn(&mut Harness) -> Played,
}

/// The trials in which programs under test take these sides, in the order of the book.
#[must_use]
pub fn trials(sides: &[Side]) -> &'static [&'static Trial] {
    match sides {
        [Side::Client] => client::TABLE,
        [Side::Server] => server::TABLE,
        [_, ..] => pair::TABLE,
        [] => &[],
    }
}

/// Every trial: of clients, of servers, of both together.
pub fn all() -> impl Iterator<Item = &'static Trial> {
    [client::TABLE, server::TABLE, pair::TABLE].into_iter().flatten().copied()
}

impl Trial {
    /// Returns the trial of that name for programs that take these sides.
    #[must_use]
    pub fn named(name: &str, sides: &[Side]) -> Option<&'static Trial> {
        trials(sides).iter().copied().find(|trial| trial.text.name == name)
    }

    /// Plays it with these programs, between hosts with these options. `agent` is the command that starts a
    /// [`crate::agent`]; `prepare` may change the stage first.
    pub fn run_on(
        &'static self,
        options: &Options,
        agent: Vec<OsString>,
        programs: &[(Side, CommandLine)],
        prepare: impl FnOnce(&mut Stage),
    ) -> Run {
        let mut harness = match Stage::on(options, agent) {
            Ok(stage) => Harness::new(stage, programs),
            Err(failed) => return Run::skipped(&self.text, options.family, &failed),
        };
        prepare(&mut harness.stage);
        let played = (self.play)(&mut harness);
        let conduct = harness.dismiss(&played);
        Run::over(&self.text, &harness.stage, played, Some(conduct))
    }
}
