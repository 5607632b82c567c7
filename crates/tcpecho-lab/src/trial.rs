//! The table of trials: the scenarios' boundary conditions for any program.
//!
//! A scenario is played with agents, which make one call when they are asked to; a program under test makes its own calls. So each
//! scenario may have a trial, in which the program takes the client's or the server's place, opposite an agent. A client gets
//! lines on standard input and must print what comes back; a server must echo. They are judged by the wire, the kernel's
//! tables, `/proc`, their streams and their exit status.
//!
//! A condition is a file with a trial for each role: the client, the server, or a *pair*. A pair has
//! a program under test at either end, and only the hosts and the wire act: it shows how two programs
//! behave with each other.
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

/// The sides that the programs under test of a role take.
macro_rules! sides {
    (CLIENT) => {
        &[crate::side::Side::Client]
    };
    (SERVER) => {
        &[crate::side::Side::Server]
    };
    (PAIR) => {
        &crate::side::Side::BOTH
    };
}

/// Defines the trial for a role: the fields of its text, then its steps ([`crate::text::steps`]).
macro_rules! trial {
    ($role:ident, $harness:ident; $($field:ident: $value:expr),+; $($steps:tt)+) => {
        pub(super) static $role: $crate::trial::Trial = {
            use $crate::trial::harness::Harness;
            $crate::text::steps! { $harness: Harness; $($steps)+ }
            let text = $crate::text::Text {
                $($field: $value,)+
                steps: STEPS,
                module: module_path!(),
                ..$crate::text::Text::EMPTY
            };
            $crate::trial::Trial { sides: sides!($role), text, play }
        };
    };
}

/// Declares the modules of conditions, and the table of their trials.
macro_rules! trials {
    (@ [$($all:tt)*] damaged::$kind:ident { $($role:ident)+ } $($rest:tt)*) => {
        trials! { @ [$($all)* $(&damaged::$kind::$role,)+] $($rest)* }
    };
    (@ [$($all:tt)*] $condition:ident { $($role:ident)+ } $($rest:tt)*) => {
        mod $condition;
        trials! { @ [$($all)* $(&$condition::$role,)+] $($rest)* }
    };
    (@ [$($all:tt)*]) => {
        static TRIALS: &[&Trial] = &[$($all)*];
    };
    ($($rows:tt)*) => { trials! { @ [] $($rows)* } };
}

mod bad_path;
mod client;
mod command;
mod damaged;
mod harness;
mod pair;
mod peer;
mod server;

// In the order of the book.
trials! {
    normal_startup { CLIENT SERVER PAIR }
    normal_termination { CLIENT SERVER PAIR }
    zombies_without_handler { SERVER }
    wait_against_waitpid { SERVER }
    abort_before_accept { SERVER }
    server_stopped { CLIENT }
    server_process_killed { CLIENT PAIR }
    server_process_killed_unread { CLIENT }
    sigpipe { CLIENT SERVER }
    exec_inherits { CLIENT SERVER }
    server_host_crashes { CLIENT PAIR }
    unreachable_during_connect { CLIENT }
    prohibited_during_connect { CLIENT }
    unreachable_while_established { CLIENT }
    crash_and_reboot { CLIENT PAIR }
    client_host_crashes_and_returns { SERVER }
    operator_shutdown { CLIENT SERVER PAIR }
    refused { CLIENT }
    syn_dropped { CLIENT }
    bind_in_use_by_time_wait { SERVER }
    server_busy { CLIENT }
    listener_closes { CLIENT }
    backlog_full { CLIENT }
    abort_on_overflow { CLIENT }
    half_close { CLIENT SERVER PAIR }
    close_with_unread_data { CLIENT SERVER }
    damaged::segment_lost { CLIENT SERVER PAIR }
    damaged::segment_doubled { CLIENT SERVER PAIR }
    damaged::segments_reordered { CLIENT SERVER PAIR }
    damaged::segment_corrupted { CLIENT SERVER PAIR }
    zero_window { CLIENT SERVER }
    damaged::mtu_black_hole { CLIENT SERVER }
    damaged::fragmentation_needed { CLIENT SERVER }
    middlebox_forgets_silently { CLIENT PAIR }
    middlebox_forgets_with_reset { CLIENT SERVER PAIR }
    short_counts { CLIENT SERVER }
    stdio_and_poll { CLIENT SERVER }
    half_a_line { SERVER }
    urgent_data { CLIENT SERVER }
    many_clients { SERVER }
    out_of_descriptors { SERVER }
}

pub use crate::conduct::{Conduct, Fault};
pub use command::CommandLine;

/// The beginning of the reason if a server under test never listened.
pub const NOT_LISTENING: &str = "the program does not listen";

/// Stands in that reason if the server listens, but for the other address family only.
pub const USE_FAMILY: &str = "only; use --family ";

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
pub fn trials(sides: &[Side]) -> impl Iterator<Item = &'static Trial> {
    all().filter(move |trial| trial.sides == sides)
}

/// Every trial: of clients, of servers, of both together.
pub fn all() -> impl Iterator<Item = &'static Trial> {
    TRIALS.iter().copied()
}

impl Trial {
    /// Returns the trial of that name for programs that take these sides.
    #[must_use]
    pub fn named(name: &str, sides: &[Side]) -> Option<&'static Trial> {
        trials(sides).find(|trial| trial.text.name == name)
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
