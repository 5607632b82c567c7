//! Tells whether stdin, stdout and stderr were open when the program started.
//!
//! Rust's runtime opens /dev/null in place of a closed descriptor 0, 1 or 2, so that no socket or file gets that number.
//! After that, input looks empty and output looks written. Only what runs before main can see the difference.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static STDIN_WAS_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);
static STDERR_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before main, as a constructor of the C runtime.
#[used]
// SAFETY: the section holds pointers to C functions, and this is one; it calls fcntl(2) and stores flags, neither of
// which needs Rust's runtime.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    let is_closed = |fd| {
        // SAFETY: F_GETFD takes any number and touches no memory; EBADF for one that is no descriptor is what is asked.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        flags == -1
    };
    STDIN_WAS_CLOSED.store(is_closed(libc::STDIN_FILENO), Relaxed);
    STDOUT_WAS_CLOSED.store(is_closed(libc::STDOUT_FILENO), Relaxed);
    STDERR_WAS_CLOSED.store(is_closed(libc::STDERR_FILENO), Relaxed);
}

/// Returns whether descriptor 0 was closed when the program started; it is /dev/null then.
#[must_use]
pub fn stdin_was_closed() -> bool {
    STDIN_WAS_CLOSED.load(Relaxed)
}

/// Returns whether descriptor 1 was closed when the program started; it is /dev/null then.
#[must_use]
pub fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Relaxed)
}

/// Returns whether descriptor 2 was closed when the program started; it is /dev/null then.
#[must_use]
pub fn stderr_was_closed() -> bool {
    STDERR_WAS_CLOSED.load(Relaxed)
}
