//! What the threads of a run and its main thread tell each other.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
    time::Duration,
};

use rustix::io::Errno;
use tcpecho::Error;

use crate::{
    stop::Bell,
    tally::Tally,
    watch::{ClientUse, Pauses},
    wire::WireSums,
};

/// When a run begins, is measured, and ends, on the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Milestones {
    /// The first request is due.
    pub(crate) base: u64,
    /// The warm-up is over.
    pub(crate) measure: u64,
    pub(crate) end: u64,
}

/// What a thread tells.
pub(crate) enum News {
    /// Its connections are made, or have failed.
    Connected { tally: Box<Tally> },
    /// The warm-up is over; what came of it, without its figures.
    WarmedUp { tally: Box<Tally> },
    /// A stretch of the measured time is over.
    Interval { at: u64, tally: Box<Tally> },
    /// The answers are in, the connections are still there; it waits for a word before it closes them.
    Drained,
    /// All is over; what came after the measured time, and sums over it.
    Done {
        tail: Box<Tally>,
        wire: WireSums,
        client: ClientUse,
        open: u64,
        window: u64,
        /// Messages that were due in the measured time.
        requests: u64,
        paused: Pauses,
    },
    /// It may not choose its processor, and runs on any.
    Unpinned(Errno),
    /// It cannot go on.
    Failed(Error),
}

/// A thread's way to the main thread.
pub(crate) struct Link {
    pub(crate) thread: usize,
    pub(crate) news: Sender<(usize, News)>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) go: Receiver<Milestones>,
}

impl Link {
    pub(crate) fn tell(&self, news: News) {
        // A main thread that no longer listens has ended the run.
        let _ = self.news.send((self.thread, news));
        self.bell.ring();
    }

    /// Waits for the word to begin; none if there will be no run.
    pub(crate) fn wait_for_go(&self) -> Option<Milestones> {
        self.go.recv().ok()
    }

    /// Waits until the main thread has looked at the server once more with its connections there.
    pub(crate) fn wait_for_a_last_look(&self) {
        let _ = self.go.recv_timeout(Duration::from_secs(1));
    }
}
