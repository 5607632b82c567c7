//! Signals as something to poll (signalfd(2)): no code of ours ever runs inside a handler.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// Chosen signals, blocked in this thread and in all it starts from now on, and readable here
/// instead.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

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
        SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Signals)
    }

    /// The signal that came, if one did.
    pub(crate) fn next(&self) -> Option<Signal> {
        let info = self.0.read_signal().ok().flatten()?;
        Signal::try_from(info.ssi_signo as i32).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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
