//! Probes TCP echo servers, and searches for limits of the path to them.
//!
//! A [`Plan`] says what to send and when. [`probe`] sends numbered and timed probes to any number of targets at the same
//! time, reports each [`Event`] to an [`Observer`], and returns the counts and times of every [`Target`]. [`Sweeper`]
//! searches for the longest time that a connection may be idle, or for the largest probe that is echoed.
//!
//! The crate knows no terminal, no arguments, no signals and no stdout. Everything runs in the caller's thread, in one
//! poll(2) loop, with the descriptors of the caller's [`Control`] polled in the same call.
#![forbid(unsafe_code)]

mod check;
mod control;
mod event;
mod link;
mod payload;
mod plan;
mod prober;
mod schedule;
mod stats;
mod step;
mod sweep;
mod target;
mod timestamps;

pub use self::{
    control::{Command, Control, Observer, SweepObserver},
    event::{Answer, Broken, Cause, Connected, Event, Kernel, Loss, Pause},
    plan::{Destination, LARGEST_PROBE, MOST_CONNECTIONS, Mode, Name, Plan},
    prober::{End, Outcome, probe},
    schedule::Pace,
    stats::{Outages, Series, Stats},
    step::{ProbeResult, Seen, Step, Tried},
    sweep::{Finding, Stop, Sweep, Sweeper, Swept},
    target::Target,
    timestamps::KernelTimestamps,
};
