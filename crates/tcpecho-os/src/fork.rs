//! Copies of the calling process (clone(2) without `CLONE_VM`, that is fork(2)), and what a copy does first.
//!
//! The C library's fork(3) runs handlers that may wait for a lock which another thread holds at that moment, so these
//! call the kernel directly. Other threads do not exist in the copy: a lock that one of them held is never released there.

use std::ffi::{c_int, c_long};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use crate::errno::last_errno;
use crate::signal::SignalMask;

/// The exit status of a copy whose body panics, which is that of a Rust program that panics.
pub(crate) const PANICKED: c_int = 101;

/// Runs `body` in a copy of this process, which exits with the status that `body` returns, or 101 if it panics.
///
/// Returns the copy's process number and its pidfd. `flags` are further `CLONE_` flags, such as `CLONE_NEWPID`.
/// `end_signal` is the signal that tells the parent of the copy's end; 0 sends none, and then only a wait with `__WALL`
/// finds the child. In the copy only the calling thread exists, and every signal is blocked.
///
/// # Errors
/// clone(2): `EAGAIN` at a limit on processes, `ENOMEM`, `EPERM` for a namespace without `CAP_SYS_ADMIN`, `ENOSPC` at a
/// limit on namespaces; `EMFILE` for want of a descriptor.
///
/// # Safety
/// * `flags` contains none of `CLONE_VM`, `CLONE_FILES`, `CLONE_SIGHAND`, `CLONE_THREAD`, `CLONE_SETTLS` and
///   `CLONE_PARENT_SETTID`: the copy has memory and descriptors of its own.
/// * `body` makes only calls that are async-signal-safe (signal-safety(7)): it neither allocates nor takes a lock.
/// * `body` does not use in a second process what may exist only once, such as memory that is mapped `MAP_SHARED` and
///   written without atomics.
pub unsafe fn clone_process(
    flags: c_int,
    end_signal: c_int,
    body: impl FnOnce() -> c_int,
) -> Result<(i32, OwnedFd), Errno> {
    let mut pidfd: c_int = -1;
    let flags = c_long::from(flags | libc::CLONE_PIDFD | end_signal);
    // SAFETY: the caller makes the promises, and `pidfd` lives through the call.
    let pid = unsafe { clone(flags, &raw mut pidfd, |_| body()) }?;
    // SAFETY: the kernel made this descriptor for us, and nobody else knows it.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// As [`clone_process`], for a child whose end sends no signal and whose pidfd the caller opens. `body` gets the signal
/// mask of the parent's thread.
///
/// # Safety
/// As [`clone_process`]; `pidfd` is valid for a write if `flags` contains `CLONE_PIDFD`.
pub(crate) unsafe fn clone(
    flags: c_long,
    pidfd: *mut c_int,
    body: impl FnOnce(&SignalMask) -> c_int,
) -> Result<i32, Errno> {
    let mask = SignalMask::block_all();
    // SAFETY: without CLONE_VM and with no new stack this is fork(2): parent and child go on here, each with memory of its
    // own. The third argument is where CLONE_PIDFD stores the descriptor; the last two are unused without their flags.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, pidfd, 0, 0) };
    if pid == 0 {
        // No frame of the caller is ever unwound in the copy.
        let exit = ExitOnDrop(PANICKED);
        let status = body(&mask);
        std::mem::forget(exit);
        exit_now(status);
    }
    // Before another call of the C library changes errno.
    let forked = if pid < 0 { Err(last_errno()) } else { Ok(pid as i32) };
    mask.restore();
    forked
}

struct ExitOnDrop(c_int);

impl Drop for ExitOnDrop {
    fn drop(&mut self) {
        exit_now(self.0);
    }
}

/// Ends this process without running anything of it: no destructor, no exit handler (_exit(2)).
pub(crate) fn exit_now(status: c_int) -> ! {
    // SAFETY: _exit has no precondition.
    unsafe { libc::_exit(status) }
}

/// Closes every descriptor of this process but `kept` (close_range(2), or a loop up to `RLIMIT_NOFILE` where the kernel
/// lacks it).
///
/// # Safety
/// Nothing in this process uses another descriptor afterwards as if it were still open. That holds in a fresh copy of a
/// process whose body knows only `kept`.
pub unsafe fn close_all_but(kept: BorrowedFd<'_>) {
    let kept = kept.as_raw_fd() as libc::c_uint;
    let ranges = [(0, kept.checked_sub(1)), (kept + 1, Some(libc::c_uint::MAX))];
    for (first, last) in ranges {
        let Some(last) = last else { continue };
        // SAFETY: the caller promises that nobody uses these descriptors any more.
        let failed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0;
        if failed {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            let end = limit.current.unwrap_or(65536).min(u64::from(last)) as i32;
            for fd in first as i32..=end {
                // SAFETY: as above.
                unsafe { libc::close(fd) };
            }
        }
    }
}

/// Sets every signal to its default action, the two that the C library keeps for itself included: a program inherits
/// ignored signals, and with SIGCHLD ignored the kernel reaps children whose exit status nobody then learns.
///
/// # Safety
/// The process has one thread and calls neither `setuid`(3) and its like nor `pthread_cancel`(3) afterwards, for which the
/// C library needs its two signals. That holds in a copy that only makes system calls or calls execve(2).
pub unsafe fn reset_dispositions() {
    // `struct sigaction` as the kernel knows it, and more than it has on any machine: SIG_DFL, no flags, an empty mask.
    const DEFAULT: [u64; 8] = [0; 8];
    const SET_SIZE: usize = size_of::<u64>();
    for signal in 1..=64 {
        // Not the C library's call, which refuses its own two signals.
        // SAFETY: the kernel reads no more than the array has, and writes nothing.
        unsafe {
            let no_old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), no_old, SET_SIZE);
        }
    }
}

/// Sets every signal to its default action and unblocks it, as a new program expects it.
///
/// # Safety
/// As [`reset_dispositions`].
pub unsafe fn reset_signals() {
    // SAFETY: the caller makes the promise.
    unsafe { reset_dispositions() };
    SignalMask::empty().restore();
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    fn status_of(body: impl FnOnce() -> c_int) -> Option<i32> {
        // SAFETY: no flags. The bodies only return, or unwind while no other thread does anything.
        let (_, pidfd) = unsafe { clone_process(0, 0, body) }.unwrap();
        let options = WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(libc::__WALL as u32);
        waitid(WaitId::PidFd(pidfd.as_fd()), options).unwrap()?.exit_status()
    }

    #[test]
    fn a_copy_exits_with_the_status_of_its_body() {
        assert_eq!(status_of(|| 7), Some(7));
    }

    /// clone(2): `CLONE_FS` is refused with `CLONE_NEWNS`.
    #[test]
    fn a_clone_that_fails_is_an_error_and_leaves_the_signal_mask_as_it_was() {
        let blocked = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            status.lines().find(|line| line.starts_with("SigBlk:")).unwrap().to_owned()
        };
        let before = blocked();
        // SAFETY: neither flag shares memory or descriptors, and the body only returns.
        let made = unsafe { clone_process(libc::CLONE_FS | libc::CLONE_NEWNS, 0, || 0) };
        assert_eq!(made.map(|(pid, _)| pid), Err(Errno::INVAL));
        assert_eq!(blocked(), before);
    }

    /// It must not unwind into the frames of the test, which would then run twice. In a process of its own, since unwinding
    /// allocates and other tests may hold the allocator's lock.
    #[test]
    fn a_copy_that_unwinds_ends_there() {
        const ALONE: &str = "TCPECHO_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let alone = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["fork::tests::a_copy_that_unwinds_ends_there", "--exact", "--nocapture"])
                .env(ALONE, "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&alone.stdout);
            assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&alone.stderr));
            return;
        }
        let unwinds = || std::panic::resume_unwind(Box::new(()));
        assert_eq!(status_of(unwinds), Some(PANICKED));
    }
}
