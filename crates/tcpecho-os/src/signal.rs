//! What a process does about a signal (sigaction(2)), and which signals a thread holds back (pthread_sigmask(3)): what
//! rustix leaves out and nix calls unsafe.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};

use crate::errno::last_errno;

/// What happens when a signal arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The default action (signal(7)).
    Default,
    /// Nothing.
    Ignore,
    /// Counts it ([`caught`]); an interrupted call is restarted where the kernel can (`SA_RESTART`).
    CatchAndRestart,
    /// Counts it; an interrupted call fails with `EINTR`.
    Catch,
    /// For SIGCHLD: counts it and calls wait(2) once, as the first handler of UNP 5.9 does, which blocks if no child has
    /// ended. Restarts as [`Disposition::CatchAndRestart`]; a child that only stopped raises no signal (`SA_NOCLDSTOP`).
    CatchAndWait,
    /// For SIGCHLD: counts it and calls waitpid(2) with `WNOHANG` until no more child has ended (UNP 5.10). Restarts.
    CatchAndWaitpid,
}

static CAUGHT: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: libc::c_int) {
    CAUGHT.fetch_add(1, Relaxed);
}

extern "C" fn count_and_wait(signal: libc::c_int) {
    count(signal);
    keeping_errno(|| {
        let _ = wait(WaitOptions::empty());
    });
}

extern "C" fn count_and_waitpid(signal: libc::c_int) {
    count(signal);
    keeping_errno(|| while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {});
}

/// Restores errno, which the code that the handler interrupts may be about to read.
pub(crate) fn keeping_errno(body: impl FnOnce()) {
    // SAFETY: the C library's errno of this thread, which exists as long as the thread.
    let before = unsafe { *libc::__errno_location() };
    body();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = before };
}

/// Returns how many signals the handlers of this module have caught in this process.
#[must_use]
pub fn caught() -> u32 {
    CAUGHT.load(Relaxed)
}

/// Sets what happens when `signal` arrives. For programs: a library has no business changing it.
///
/// # Errors
/// sigaction(2): `EINVAL` for a number that is not a signal, or one that cannot be caught (SIGKILL, SIGSTOP).
pub fn dispose(signal: i32, disposition: Disposition) -> Result<(), Errno> {
    let handler =
        |function: extern "C" fn(libc::c_int)| function as *const () as libc::sighandler_t;
    let restart = libc::SA_RESTART;
    let (action, flags) = match disposition {
        Disposition::Default => (libc::SIG_DFL, 0),
        Disposition::Ignore => (libc::SIG_IGN, 0),
        Disposition::CatchAndRestart => (handler(count), restart),
        Disposition::Catch => (handler(count), 0),
        Disposition::CatchAndWait => (handler(count_and_wait), restart | libc::SA_NOCLDSTOP),
        Disposition::CatchAndWaitpid => (handler(count_and_waitpid), restart | libc::SA_NOCLDSTOP),
    };
    // SAFETY: the handlers only add to an atomic and wait for children, which is async-signal-safe, and keep errno.
    unsafe { set_action(signal, action, flags) }
}

/// Installs a handler or `SIG_DFL` or `SIG_IGN`, with an empty mask.
///
/// # Safety
/// A handler is an `extern "C" fn(c_int)` that makes only async-signal-safe calls and leaves errno as it was, or that runs
/// in a process where nothing reads errno after an interruption.
pub(crate) unsafe fn set_action(
    signal: i32,
    action: libc::sighandler_t,
    flags: libc::c_int,
) -> Result<(), Errno> {
    // SAFETY: an all-zero sigaction is a valid one, with an empty mask.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = action;
    new.sa_flags = flags;
    // SAFETY: `new` is valid, and the caller promises that its handler may run at any time.
    match unsafe { libc::sigaction(signal, &raw const new, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Whether this process ignores `signal`.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    current(signal) == Ok(Current::Ignored)
}

/// What a process does about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Current {
    /// The default action (`SIG_DFL`; signal(7)).
    Default,
    /// Nothing (`SIG_IGN`).
    Ignored,
    /// A handler runs.
    Caught,
}

/// Returns what this process does about `signal`.
///
/// # Errors
/// `EINVAL` for a number that is not a signal.
pub fn current(signal: i32) -> Result<Current, Errno> {
    // SAFETY: an all-zero sigaction is a valid one.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action the call only writes to `old`.
    if unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut old) } != 0 {
        return Err(last_errno());
    }
    Ok(match old.sa_sigaction {
        libc::SIG_DFL => Current::Default,
        libc::SIG_IGN => Current::Ignored,
        _ => Current::Caught,
    })
}

/// The set of signals that a thread holds back.
pub struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// Blocks every signal in the calling thread and the threads that it starts. Returns the mask that was in force.
    /// Async-signal-safe.
    #[must_use = "it is the mask to restore"]
    pub fn block_all() -> Self {
        let SignalMask(mut all) = SignalMask::empty();
        let SignalMask(mut old) = SignalMask::empty();
        // SAFETY: the calls only write to the two sets, which are valid.
        unsafe {
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        }
        SignalMask(old)
    }

    /// Blocks one signal more in the calling thread. Returns the mask that was in force. Async-signal-safe.
    #[must_use = "it is the mask to restore"]
    pub fn block(signal: i32) -> Self {
        let SignalMask(mut more) = SignalMask::empty();
        let SignalMask(mut old) = SignalMask::empty();
        // SAFETY: the calls only write to the two sets, which are valid; a number that is no signal is refused.
        unsafe {
            libc::sigaddset(&raw mut more, signal);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const more, &raw mut old);
        }
        SignalMask(old)
    }

    /// Returns whether the mask blocks `signal`.
    #[must_use]
    pub fn blocks(&self, signal: i32) -> bool {
        // SAFETY: the set is valid, and the call only reads it; a number that is no signal is refused.
        unsafe { libc::sigismember(&raw const self.0, signal) == 1 }
    }

    /// Lets one signal through in the calling thread, and leaves the others as they are. Async-signal-safe.
    pub fn unblock(signal: i32) {
        let SignalMask(mut one) = SignalMask::empty();
        // SAFETY: the set is valid; the first call only writes to it, and the other only reads it.
        unsafe {
            libc::sigaddset(&raw mut one, signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const one, std::ptr::null_mut());
        }
    }

    /// The mask that blocks nothing.
    #[must_use]
    pub fn empty() -> Self {
        // SAFETY: an all-zero sigset_t is the empty set on Linux.
        SignalMask(unsafe { std::mem::zeroed() })
    }

    /// Makes this the mask of the calling thread. Async-signal-safe.
    pub fn restore(&self) {
        // SAFETY: the set is valid, and the call only reads it.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_refusal_is_its_errno() {
        assert_eq!(dispose(0, Disposition::Ignore), Err(Errno::INVAL));
        assert_eq!(dispose(libc::SIGKILL, Disposition::Ignore), Err(Errno::INVAL));
    }

    #[test]
    fn what_is_ignored_is_known() {
        assert!(!is_ignored(libc::SIGWINCH));
        dispose(libc::SIGWINCH, Disposition::Ignore).unwrap();
        assert!(is_ignored(libc::SIGWINCH) && !is_ignored(-1));
    }
}
