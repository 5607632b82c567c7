//! Searches for a limit: how long a connection may be idle, or how large a probe may be.

mod idle;
mod search;
mod size;
mod trial;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tcpecho::Attempt;

use self::trial::Trial;
use crate::{
    control::SweepObserver, link::LinkOptions, payload::Run, plan::Plan, step::ProbeResult,
};

/// Bytes read with one call.
const BUFFER: usize = 256 << 10;

/// What to search for, and up to which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// The longest time that a connection may be idle: doubling from a second on, then bisection to a twentieth.
    Idle(Duration),
    /// The largest probe that is echoed, in bytes: doubling from 64 on, then bisection to the byte.
    Size(usize),
}

/// What a sweep found.
#[derive(Debug)]
pub enum Finding {
    /// How long a connection may be idle.
    Idle {
        /// The longest idle time after which a probe was answered.
        alive: Duration,
        /// The shortest idle time after which the connection was dead; `None` if it never was.
        dead: Option<Duration>,
        /// How it was found dead: `FIN`, `RST`, `reset on use`, `silent`, or the word of an ending.
        how: Option<&'static str>,
    },
    /// How large a probe may be.
    Size {
        /// The largest size that was echoed, in bytes; 0 if none was.
        passes: u64,
        /// The smallest size that was not echoed; `None` if all were.
        fails: Option<u64>,
        /// Whether the peer's kernel acknowledged what was not echoed, where that is known.
        acknowledged: Option<bool>,
        /// Bytes of the IP and TCP headers, where they are known.
        overhead: Option<u32>,
    },
    /// Not even the first probe was echoed.
    Dead(ProbeResult),
}

/// The result of a sweep.
#[derive(Debug)]
pub struct Swept {
    /// What was found; for a sweep that ended early, what it had proven by then.
    pub finding: Option<Finding>,
    /// Why it ended early; `None` if it is complete.
    pub stop: Option<Stop>,
}

/// Why a sweep ended early.
#[derive(Debug)]
pub enum Stop {
    /// The caller ended it.
    Caller,
    /// The plan's deadline came first.
    Deadline,
    /// No address could be connected to.
    Unconnected(Vec<Attempt>),
    /// This call of the loop failed.
    Failed(&'static str, Errno),
}

/// Sweeps targets, one after the other.
#[derive(Debug)]
pub struct Sweeper {
    sweep: Sweep,
    plan: Plan,
    options: LinkOptions,
    run: Run,
    start: Instant,
    deadline: Option<Instant>,
}

impl Sweeper {
    /// Prepares a sweep. Of the plan it uses the connection options, the time limits and, if it does not search for a size,
    /// the size. The deadline counts from now on.
    #[must_use]
    pub fn new(plan: &Plan, sweep: Sweep) -> Self {
        let start = Instant::now();
        Sweeper {
            sweep,
            plan: plan.clone(),
            options: LinkOptions::of(plan),
            run: Run::new(),
            start,
            deadline: plan.deadline.and_then(|limit| start.checked_add(limit)),
        }
    }

    /// Sweeps the target at these addresses, and reports each step.
    pub fn run(&self, addrs: Vec<SocketAddr>, observer: &mut dyn SweepObserver) -> Swept {
        let mut trial = Trial {
            addrs,
            options: &self.options,
            run: self.run,
            timeout: self.plan.timeout,
            observer,
            deadline: self.deadline,
            origin: self.start,
            seq: 0,
            buffer: vec![0; BUFFER],
        };
        let mut finding = None;
        let end = match self.sweep {
            Sweep::Idle(most) => idle::sweep(&mut trial, most, self.plan.size, &mut finding),
            Sweep::Size(most) => size::sweep(&mut trial, most, &mut finding),
        };
        Swept { finding, stop: end.err() }
    }
}
