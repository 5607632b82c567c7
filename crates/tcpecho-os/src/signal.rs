//! What a process does about a signal, one by one: what rustix leaves out and nix calls unsafe.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};

/// What to do when a signal comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// What the system does by itself (signal(7)).
    Default,
    /// Nothing.
    Ignore,
    /// Count it ([`caught`]); an interrupted call is made again where the system can (`SA_RESTART`).
    CatchAndRestart,
    /// Count it; an interrupted call fails with `EINTR`.
    Catch,
    /// For SIGCHLD: count it and call wait(2) once, as the book's first handler does (UNP 5.9). It waits if no child
    /// has ended. Restarts as [`Disposition::CatchAndRestart`]; a child that is merely stopped is no reason.
    CatchAndWait,
    /// For SIGCHLD: count it and call waitpid(2) with `WNOHANG` until no more child has ended (UNP 5.10). Restarts.
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

/// What a handler interrupts may be about to read errno.
fn keeping_errno(body: impl FnOnce()) {
    // SAFETY: the C library's errno of this thread, which exists as long as the thread.
    let before = unsafe { *libc::__errno_location() };
    body();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = before };
}

/// How many signals this process has caught so far.
#[must_use]
pub fn caught() -> u32 {
    CAUGHT.load(Relaxed)
}

/// Says what happens when `signal` comes. For programs only: a library has no business here.
///
/// # Errors
/// `EINVAL` for a number that is no signal, or that nobody may catch (`SIGKILL`, `SIGSTOP`).
pub fn dispose(signal: i32, disposition: Disposition) -> Result<(), Errno> {
    // SAFETY: an all-zero sigaction is a valid one, with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler =
        |function: extern "C" fn(libc::c_int)| function as *const () as libc::sighandler_t;
    let restart = libc::SA_RESTART;
    (action.sa_sigaction, action.sa_flags) = match disposition {
        Disposition::Default => (libc::SIG_DFL, 0),
        Disposition::Ignore => (libc::SIG_IGN, 0),
        Disposition::CatchAndRestart => (handler(count), restart),
        Disposition::Catch => (handler(count), 0),
        Disposition::CatchAndWait => (handler(count_and_wait), restart | libc::SA_NOCLDSTOP),
        Disposition::CatchAndWaitpid => (handler(count_and_waitpid), restart | libc::SA_NOCLDSTOP),
    };
    // SAFETY: `action` is valid and its handlers only add to an atomic and wait for children, which is async-signal-safe.
    match unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(Errno::INVAL),
    }
}
