//! A load generator for TCP echo servers.
//!
//! [`run`] takes a [`Plan`] and returns an [`Outcome`]: counts, latency histograms and how connections ended. It
//! calls the caller with an [`Event`] for every interval. Every byte that comes back is compared with the byte
//! that was sent. With a [`Schedule`] (open loop), response times count from when a request was due, so that a
//! stall of the server shows in every request that was due meanwhile.
//!
//! The crate prints nothing, parses no arguments and handles no signals. An [`Interrupt`] ends a run early.
//! Linux only.
//!
//! ```no_run
//! use std::time::Duration;
//! use tcpecho_load::{Plan, Profile};
//!
//! let mut plan = Plan::new("127.0.0.1:7".parse()?, Profile::new(vec![64]));
//! plan.duration = Duration::from_secs(2);
//! let outcome = tcpecho_load::run(&plan, &(), &mut |_| {})?;
//! println!("{} echoes in {:.1} s", outcome.total.messages, outcome.seconds);
//! println!("99th percentile: {:?} ns", outcome.total.latency().quantile(0.99));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod address;
mod clock;
mod driver;
mod flow;
mod histogram;
mod interrupt;
mod message;
mod outcome;
mod pattern;
mod plan;
mod pool;
mod profile;
mod schedule;
mod stop;
mod tally;
pub mod usage;
mod watch;
mod wire;
mod worker;
mod workload;

pub use driver::DriverChoice;
pub use histogram::Times;
pub use interrupt::{Interrupt, Stopping};
pub use outcome::{Event, Interval, Outcome};
pub use plan::{After, Plan};
pub use pool::run;
pub use profile::Profile;
pub use schedule::Schedule;
pub use tally::Tally;
pub use watch::{ClientUse, Pauses};
pub use wire::WireSums;
pub use workload::{Kind, Unit, WORKLOADS, Workload};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
