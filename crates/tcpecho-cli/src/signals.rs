//! Signals as something to poll (signalfd(2)): no code of ours ever runs inside a handler.

use std::{
    cell::Cell,
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal, raise},
        signalfd::{SfdFlags, SignalFd},
    },
};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

/// Chosen signals, blocked in this thread and in all it starts from now on, and readable here
/// instead.
#[derive(Debug)]
pub(crate) struct Signals {
    mask: SigSet,
    caught: SignalFd,
    /// An epoll instance for the signals and stdout, where a reader that leaves counts as a signal.
    reader: Option<OwnedFd>,
    /// To be returned next.
    pending: Cell<Option<Signal>>,
    /// Whether [`Signals::next`] has returned a signal that ends a run.
    ended: Cell<bool>,
}

impl Signals {
    /// Takes these signals, except those that whoever started us wants ignored, as nohup(1) does
    /// with SIGHUP.
    ///
    /// Call it before any thread is started: a thread that does not block a signal would be killed
    /// by it.
    pub(crate) fn catch(wanted: &[Signal]) -> Result<Self, Errno> {
        let ignored = ignored();
        let mask: SigSet = wanted
            .iter()
            .copied()
            .filter(|&signal| ignored >> (signal as u32 - 1) & 1 == 0)
            .collect();
        mask.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let caught = SignalFd::with_flags(&mask, flags)?;
        Ok(Signals {
            mask,
            caught,
            reader: None,
            pending: Cell::new(None),
            ended: Cell::new(false),
        })
    }

    /// Also takes it for SIGPIPE, once, that the reader of stdout leaves, before anything is written. So a verb that
    /// polls its signals ends with its reader, whatever it is waiting for.
    pub(crate) fn with_reader(mut self) -> Self {
        self.reader = watch_reader(&self.caught).ok();
        self
    }

    /// The same signal comes from ourselves: the output failed.
    pub(crate) fn output_failed(&self) {
        self.pending.set(Some(Signal::SIGPIPE));
    }

    /// Stops this process, once its SIGTSTP was read, as that signal does where nobody catches it, and returns when it
    /// goes on. Where no shell could let it go on, the kernel does not stop it.
    pub(crate) fn suspend() -> Result<(), Errno> {
        raise(Signal::SIGTSTP)?;
        Self::let_stop()
    }

    /// The signal is blocked, and so comes when it is blocked no more.
    fn let_stop() -> Result<(), Errno> {
        let mut stop = SigSet::empty();
        stop.add(Signal::SIGTSTP);
        stop.thread_unblock()?;
        stop.thread_block()
    }

    /// Stops the programs of this process group, ours as well, and returns when ours goes on; SIGTSTP is one of the caught
    /// signals. Where no shell could let them go on, the kernel stops none.
    pub(crate) fn suspend_group() -> Result<(), Errno> {
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)
            .map_err(|errno| Errno::from_raw(errno.raw_os_error()))?;
        Self::let_stop()
    }

    /// Lets these signals act in this thread as they do where nobody catches them, from now on; those that have come and
    /// were not read act at once.
    pub(crate) fn release(self) {
        self.let_through();
    }

    /// The same until [`Signals::hold`].
    pub(crate) fn let_through(&self) {
        // It fails for an invalid argument only.
        let _ = self.mask.thread_unblock();
    }

    /// As [`Signals::let_through`], without this signal, which is still caught.
    pub(crate) fn let_through_all_but(&self, kept: Signal) {
        let mut others = self.mask;
        others.remove(kept);
        let _ = others.thread_unblock();
    }

    /// Catches them again, after [`Signals::let_through`].
    pub(crate) fn hold(&self) {
        let _ = self.mask.thread_block();
    }

    /// The signal that came, if one did.
    pub(crate) fn next(&self) -> Option<Signal> {
        let signal = match self.caught.read_signal() {
            Ok(Some(info)) => Signal::try_from(info.ssi_signo as i32).ok(),
            _ => self.pending.take().or_else(|| self.reader_left().then_some(Signal::SIGPIPE)),
        };
        if matches!(signal, Some(Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP)) {
            self.ended.set(true);
        }
        signal
    }

    /// Whether a signal that ends a run was returned, and not put back. The next one is the second.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Puts back the first signal that ends a run: [`Signals::next`] returns it again.
    pub(crate) fn put_back(&self, signal: Signal) {
        self.pending.set(Some(signal));
        self.ended.set(false);
    }

    /// Takes the signal that was put back, if one was.
    pub(crate) fn take_back(&self) -> Option<Signal> {
        let signal = self.pending.take()?;
        self.ended.set(true);
        Some(signal)
    }

    /// Whether the reader of stdout has left since the last call.
    fn reader_left(&self) -> bool {
        let Some(both) = &self.reader else { return false };
        let mut events = Vec::with_capacity(2);
        let found = epoll::wait(both, spare_capacity(&mut events), Some(&Timespec::default()));
        let left = found.is_ok() && events.iter().any(|event| event.data.u64() == READER);
        if left {
            // It stays so; asked about again it would be reported without end.
            let _ = epoll::delete(both, io::stdout());
        }
        left
    }
}

const READER: u64 = 1;

/// Readable when a signal comes or stdout reports a hang-up. Fails for a regular file, which has no reader.
fn watch_reader(signals: &SignalFd) -> rustix::io::Result<OwnedFd> {
    let both = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let nothing = epoll::EventFlags::empty();
    epoll::add(&both, io::stdout(), epoll::EventData::new_u64(READER), nothing)?;
    epoll::add(&both, signals, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    Ok(both)
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_ref().map_or_else(|| self.caught.as_fd(), AsFd::as_fd)
    }
}

/// The signals ignored since before we were started, bit n-1 for signal n, as /proc tells it; none
/// where it cannot.
///
/// Blocking would otherwise undo the ignoring: a blocked signal is kept for the descriptor even if
/// it is ignored.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
