//! Messages between the workers and the thread that leads them.

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
    stop::WakeUp,
    tally::Tally,
    watch::{ClientUse, Pauses},
    wire::WireSums,
};

/// When a run starts, is measured and ends, on the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Milestones {
    /// When the first request is due.
    pub(crate) base: u64,
    /// When the warm-up is over.
    pub(crate) measure: u64,
    /// When the measured time is over.
    pub(crate) end: u64,
}

/// A message from a worker.
pub(crate) enum Message {
    /// All its connections are established or have failed.
    Connected { tally: Box<Tally> },
    /// The warm-up is over. Only the endings of its tally count.
    WarmedUp { tally: Box<Tally> },
    /// An interval of the measured time is over.
    Interval { at: u64, tally: Box<Tally> },
    /// All answers have come or are given up. The connections are still open; the worker waits for
    /// [`Link::wait_for_observer`] before it closes them.
    Drained,
    /// The worker ends. `tail` counts what came after the measured time.
    Done {
        tail: Box<Tally>,
        wire: WireSums,
        client: ClientUse,
        open: u64,
        window: u64,
        /// Connections that waited for the server and received nothing in the measured time.
        starved: u64,
        /// Messages that were due in the measured time.
        requests: u64,
        paused: Pauses,
    },
    /// The worker may not choose its processor, and runs on any.
    Unpinned(Errno),
    /// The worker cannot continue.
    Failed(Error),
}

/// A worker's connection to the leading thread.
pub(crate) struct Link {
    pub(crate) thread: usize,
    pub(crate) messages: Sender<(usize, Message)>,
    pub(crate) wake_up: Arc<WakeUp>,
    pub(crate) started: Receiver<Milestones>,
}

impl Link {
    pub(crate) fn send(&self, message: Message) {
        // It fails if the leading thread has ended the run.
        let _ = self.messages.send((self.thread, message));
        self.wake_up.set();
    }

    /// Waits until the run starts; `None` if it does not.
    pub(crate) fn wait_for_start(&self) -> Option<Milestones> {
        self.started.recv().ok()
    }

    /// Waits until the observer has seen [`Event::End`](crate::Event::End) with the connections open, a second
    /// at most.
    pub(crate) fn wait_for_observer(&self) {
        let _ = self.started.recv_timeout(Duration::from_secs(1));
    }
}
