//! The table of trials: the scenarios' boundary conditions for anybody's own program.
//!
//! A scenario is played with programs that make one call when they are told to; a stranger makes its own. So beside the
//! scenario stands a trial with the stranger in the client's or the server's place, and a program on strings opposite. A client
//! is given lines on standard input and has to print what comes back; a server has to echo. What they do is seen on
//! the wire, in the kernel's tables, in `/proc`, on their streams and in their end.
//!
//! A *pair* has a stranger at either end, and only the hosts and the wire act: it shows what becomes of two programs with
//! each other.
//!
//! In a trial each claim on the program has a [`Fault`] for its contrary; the gravest is the verdict.

use crate::scenario::Scenario;
use crate::side::Side;

/// What a trial's page is made of.
macro_rules! trial {
    ($name:literal, $title:literal, $source:literal, $question:literal, $file:literal) => {
        pub(super) static SCENARIO: crate::scenario::Scenario = crate::scenario::Scenario {
            name: $name,
            title: $title,
            source: $source,
            question: $question,
            book: "",
            linux: "",
            play,
            text: include_str!($file),
        };
    };
}

/// A file and a row for each condition.
macro_rules! table {
    ($($file:ident)*) => {
        $(mod $file;)*
        pub(super) static TABLE: &[&crate::scenario::Scenario] = &[$(&$file::SCENARIO),*];
    };
}

mod client;
mod command;
mod conduct;
mod pair;
mod server;
mod stranger;

pub use command::CommandLine;
pub use conduct::{Conduct, Fault};
pub(crate) use stranger::Guest;

/// How the reason begins if a server under test never listened.
pub const NOT_LISTENING: &str = "the program does not listen";

/// A boundary condition for a program of somebody's.
pub struct Trial {
    /// Whose place the program takes.
    pub role: Side,
    /// What is played; its name is the scenario's where there is one.
    pub scenario: &'static Scenario,
}

/// Every trial, in the order of the book.
#[must_use]
pub fn trials() -> Vec<Trial> {
    let of = |role| move |scenario: &&'static Scenario| Trial { role, scenario };
    let clients = client::TABLE.iter().map(of(Side::Client));
    clients.chain(server::TABLE.iter().map(of(Side::Server))).collect()
}

/// What is played with a client and a server of somebody's, in the order of the book.
#[must_use]
pub fn pairs() -> &'static [&'static Scenario] {
    pair::TABLE
}

impl Trial {
    /// The trial of that name for that role.
    #[must_use]
    pub fn named(name: &str, role: Side) -> Option<Trial> {
        trials().into_iter().find(|trial| trial.role == role && trial.scenario.name == name)
    }
}
