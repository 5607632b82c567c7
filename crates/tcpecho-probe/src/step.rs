//! The steps of a sweep.

use std::time::Duration;

use crate::event::Broken;

/// What became of a probe of a sweep.
#[derive(Debug)]
pub enum ProbeResult {
    /// It came back whole.
    Answered {
        /// From sending to answer.
        time: Duration,
        /// Segments retransmitted meanwhile.
        retransmits: u32,
    },
    /// Nothing came back in time.
    Silence {
        /// Whether the peer's kernel acknowledged it, where that is known.
        acknowledged: Option<bool>,
        /// Segments retransmitted meanwhile.
        retransmits: u32,
    },
    /// Something else came back.
    Changed,
    /// The connection ended.
    Ended(Broken),
}

/// What a step tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// A connection that was idle for this time.
    Idle(Duration),
    /// A probe of this many bytes.
    Size(u64),
}

/// What a step showed.
#[derive(Debug)]
pub enum Seen<'a> {
    /// What became of the probe.
    Probe(&'a ProbeResult),
    /// The connection ended while it was idle.
    EndedIdle {
        /// How long it had been idle.
        after: Duration,
        /// How it ended.
        broken: &'a Broken,
    },
}

/// One step of a sweep.
#[derive(Debug)]
pub struct Step<'a> {
    /// What was tried.
    pub tried: Tried,
    /// Whether the probe came back.
    pub holds: bool,
    /// What was seen.
    pub seen: Seen<'a>,
}
