//! Detached threads (pthread_create(3)) that fail with an error where resources are short.
//!
//! `std::thread` maps an alternate signal stack inside the new thread and aborts the process when that fails; a server at
//! its address-space limit must lose one connection instead. pthread_create(3) reports everything to its caller.

use std::{
    ffi::c_void,
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rustix::io::Errno;

use crate::signal::SignalMask;

struct Task<T> {
    arg: T,
    body: fn(T),
}

extern "C" fn start<T>(task: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn_detached` passes a pointer from `Box::into_raw` and gives up its ownership when the thread exists.
    let task = *unsafe { Box::from_raw(task.cast::<Task<T>>()) };
    // A panic may not unwind into C; the thread ends instead.
    let _ = catch_unwind(AssertUnwindSafe(move || (task.body)(task.arg)));
    std::ptr::null_mut()
}

/// Runs `body` with `arg` in a new detached thread with a stack of `stack` bytes. A panic of `body` ends the thread only.
///
/// # Errors
/// Returns `arg` with the errno of pthread_create(3), `EAGAIN` at a limit on threads, processes or address space; or that of
/// pthread_attr_setstacksize(3), `EINVAL` for a stack that is too small.
pub fn spawn_detached<T: Send + 'static>(
    stack: usize,
    arg: T,
    body: fn(T),
) -> Result<(), (Errno, T)> {
    let task = Box::into_raw(Box::new(Task { arg, body }));
    match create(stack, start::<T>, task.cast()) {
        0 => Ok(()),
        errno => {
            // SAFETY: no thread was created, so the pointer is still ours alone.
            let task = *unsafe { Box::from_raw(task) };
            Err((Errno::from_raw_os_error(errno), task.arg))
        }
    }
}

fn create(stack: usize, start: extern "C" fn(*mut c_void) -> *mut c_void, arg: *mut c_void) -> i32 {
    let mut attr = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the call only writes to `attr`.
    let errno = unsafe { libc::pthread_attr_init(attr.as_mut_ptr()) };
    if errno != 0 {
        return errno;
    }
    let detached = libc::PTHREAD_CREATE_DETACHED;
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: pthread_attr_init has initialised `attr`, `start` has the C signature, and `arg` is what `start` expects.
    let errno = unsafe {
        match (
            libc::pthread_attr_setdetachstate(attr.as_mut_ptr(), detached),
            libc::pthread_attr_setstacksize(attr.as_mut_ptr(), stack),
        ) {
            (0, 0) => libc::pthread_create(thread.as_mut_ptr(), attr.as_ptr(), start, arg),
            (0, errno) | (errno, _) => errno,
        }
    };
    // SAFETY: `attr` was initialised above and is not used afterwards.
    unsafe { libc::pthread_attr_destroy(attr.as_mut_ptr()) };
    errno
}

/// Blocks every signal in the calling thread and the threads that it starts, as a library's threads should: the program's
/// handlers run in the program's own threads, and a SIGPIPE that a call here raises is never delivered.
pub fn block_signals() {
    let _old = SignalMask::block_all();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signals that the calling thread blocks, the first in the lowest bit (proc(5), `SigBlk`).
    fn blocked() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap()
    }

    /// signal(7): SIGKILL and SIGSTOP cannot be blocked, and the C library keeps two real-time signals for itself.
    #[test]
    fn every_signal_is_blocked_in_a_thread_and_in_those_it_starts() {
        let never = [libc::SIGKILL, libc::SIGSTOP, 32, 33];
        let all = (1..=64).filter(|signal| !never.contains(signal));
        let wanted: u64 = all.map(|signal| 1_u64 << (signal - 1)).sum();
        let inside = || {
            block_signals();
            let (tell, told) = std::sync::mpsc::channel();
            spawn_detached(128 << 10, tell, |tell| tell.send(blocked()).unwrap()).unwrap();
            [blocked(), told.recv().unwrap()]
        };
        let masks = std::thread::scope(|scope| scope.spawn(inside).join()).unwrap();
        assert_eq!(masks.map(|mask| mask & wanted), [wanted; 2], "{masks:x?}");
    }

    #[test]
    fn runs_its_body_and_survives_its_panic() {
        let (tell, told) = std::sync::mpsc::channel();
        spawn_detached(128 << 10, tell, |tell| tell.send(7).unwrap()).unwrap();
        assert_eq!(told.recv(), Ok(7));
        let (tell, told) = std::sync::mpsc::channel::<()>();
        spawn_detached(128 << 10, tell, |_tell| panic!("on purpose")).unwrap();
        assert!(told.recv().is_err());
        assert_eq!(spawn_detached(1, 5, |_| ()), Err((Errno::INVAL, 5)));
    }
}
