//! A detached thread that a lack of resources cannot turn into a panic.
//!
//! `std::thread` maps an alternate signal stack inside the new thread and aborts the process when that fails; a server at
//! its address-space limit must lose one connection instead. pthread_create(3) reports everything to its caller.

use std::{
    ffi::c_void,
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rustix::io::Errno;

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

/// Runs `body` with `arg` in a new detached thread with a stack of `stack` bytes.
///
/// # Errors
/// pthread_create(3), and `arg` back: `EAGAIN` when a limit on threads, processes or address space is reached.
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
    // SAFETY: pthread_attr_init initialises `attr`; the two setters then see an initialised one.
    let prepared = unsafe {
        match libc::pthread_attr_init(attr.as_mut_ptr()) {
            0 => {
                let detached = libc::PTHREAD_CREATE_DETACHED;
                libc::pthread_attr_setdetachstate(attr.as_mut_ptr(), detached)
                    | libc::pthread_attr_setstacksize(attr.as_mut_ptr(), stack)
            }
            errno => return errno,
        }
    };
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let errno = if prepared == 0 {
        // SAFETY: `attr` is initialised, `start` has the C signature, and `arg` is what `start` expects.
        unsafe { libc::pthread_create(thread.as_mut_ptr(), attr.as_ptr(), start, arg) }
    } else {
        libc::EINVAL
    };
    // SAFETY: `attr` was initialised above and is not used afterwards.
    unsafe { libc::pthread_attr_destroy(attr.as_mut_ptr()) };
    errno
}

/// Holds every signal back from the calling thread and those it starts, as befits the threads of a library: the
/// program's handlers run in the program's own threads, and a SIGPIPE that a call here raises is never delivered.
pub fn block_signals() {
    // SAFETY: an all-zero sigset_t is the empty set on Linux; the calls only write to the set that they are given.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
