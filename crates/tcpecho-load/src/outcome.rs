//! What a run reports while it runs, and what it returns.

use std::time::{Duration, SystemTime};

use crate::{
    tally::Tally,
    watch::{ClientUse, Pauses},
    wire::WireSums,
};

/// A part of the measured time, all threads together.
#[derive(Debug, Clone)]
pub struct Interval {
    /// Its begin, in nanoseconds from the start of the measured time.
    pub from: u64,
    /// Its end.
    pub to: u64,
    /// What was counted in it.
    pub tally: Tally,
}

/// What a run reports while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// The measured time begins.
    Begin,
    /// Nine tenths of the measured time are over.
    NearEnd,
    /// An interval is over.
    Interval(&'a Interval),
    /// What came after the measured time: late answers, and requests without an answer.
    Tail(&'a Interval),
    /// The measured time is over. The connections may still be open.
    End,
    /// Nothing new. Nanoseconds since the measured time began: negative before it, `i64::MIN` while the
    /// connections are being made.
    Tick(i64),
}

/// The result of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Seconds that were measured.
    pub seconds: f64,
    /// When the measured time began.
    pub started: SystemTime,
    /// What was counted while the connections were made.
    pub connecting: Tally,
    /// What was counted in the measured time.
    pub total: Tally,
    /// What the kernel knew about the connections at the end.
    pub wire: WireSums,
    /// What the worker threads used.
    pub client: Vec<ClientUse>,
    /// Connections that were open at the end of the measured time.
    pub open: u64,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// Connections that were established, from the first to the last moment of the run.
    pub made: u64,
    /// Messages that were due in the measured time: answered in it or after it, lost, or unanswered.
    pub requests: u64,
    /// Connections that waited for the server at the end of the measured time and had received nothing in it.
    pub starved: u64,
    /// Messages answered after the measured time.
    pub late: u64,
    /// Pauses of this program itself.
    pub paused: Pauses,
    /// How long after [`Plan::start_at`](crate::Plan::start_at) it began.
    pub behind: Option<Duration>,
    /// Worker threads.
    pub threads: usize,
    /// What else a reader of the result must know, in sentences.
    pub notes: Vec<String>,
}

impl Outcome {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            seconds: 0.0,
            started: SystemTime::now(),
            connecting: Tally::new(),
            total: Tally::new(),
            wire: WireSums::default(),
            client: Vec::new(),
            open: 0,
            interrupted: false,
            made: 0,
            requests: 0,
            starved: 0,
            late: 0,
            paused: Pauses::default(),
            behind: None,
            threads,
            notes: Vec::new(),
        }
    }
}
