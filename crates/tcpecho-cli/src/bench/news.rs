//! What the threads of a run and its main thread tell each other.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, Sender},
    },
    time::Duration,
};

use rustix::io::Errno;
use tcpecho::Error;
use tcpecho_os::event_fd::EventFd;

use super::{
    hand::WireSums,
    tally::Tally,
    watch::{ClientUse, Pauses},
};

/// When a run begins, is measured, and ends, on the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Schedule {
    /// The first request is due.
    pub(super) base: u64,
    /// The warm-up is over.
    pub(super) measure: u64,
    pub(super) end: u64,
}

/// A descriptor that becomes readable and stays so.
#[derive(Debug)]
pub(super) struct Bell(EventFd);

impl Bell {
    pub(super) fn new() -> Result<Self, Error> {
        EventFd::new().map(Bell).map_err(|errno| Error::new("eventfd", errno))
    }

    pub(super) fn ring(&self) {
        self.0.set();
    }

    pub(super) fn silence(&self) {
        self.0.clear();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The word to end early: a flag for who looks, a descriptor for who sleeps.
#[derive(Debug)]
pub(super) struct Stop {
    flag: AtomicBool,
    at_once: AtomicBool,
    bell: Bell,
}

impl Stop {
    pub(super) fn new() -> Result<Self, Error> {
        let (flag, at_once) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { flag, at_once, bell: Bell::new()? })
    }

    pub(super) fn set(&self) {
        self.flag.store(true, Relaxed);
        self.bell.ring();
    }

    pub(super) fn is_set(&self) -> bool {
        self.flag.load(Relaxed)
    }

    /// Not even what is under way is waited for.
    pub(super) fn set_at_once(&self) {
        self.at_once.store(true, Relaxed);
    }

    pub(super) fn is_at_once(&self) -> bool {
        self.at_once.load(Relaxed)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// What a thread tells.
pub(super) enum News {
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
pub(super) struct Link {
    pub(super) thread: usize,
    pub(super) news: Sender<(usize, News)>,
    pub(super) bell: Arc<Bell>,
    pub(super) go: Receiver<Schedule>,
}

impl Link {
    pub(super) fn tell(&self, news: News) {
        // A main thread that no longer listens has ended the run.
        let _ = self.news.send((self.thread, news));
        self.bell.ring();
    }

    /// Waits for the word to begin; none if there will be no run.
    pub(super) fn wait_for_go(&self) -> Option<Schedule> {
        self.go.recv().ok()
    }

    /// Waits until the main thread has looked at the server once more with its connections there.
    pub(super) fn wait_for_a_last_look(&self) {
        let _ = self.go.recv_timeout(Duration::from_secs(1));
    }
}
