//! The errno of the last failed call of the C library, its text (strerror(3)) and its name (errno(3)).

use std::{ffi::CStr, io};

use rustix::io::Errno;

/// Returns the errno that the last failed call of the C library left in this thread. Async-signal-safe.
///
/// # Panics
/// If no call has failed: ask only after one that has.
#[must_use]
pub fn last_errno() -> Errno {
    // SAFETY: libc gives a pointer to this thread's errno, valid as long as the thread.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// Returns the text of an errno with its name: `Connection refused (ECONNREFUSED)`.
#[must_use]
pub fn words(errno: Errno) -> String {
    let mut text = [0 as libc::c_char; 128];
    // SAFETY: the buffer is ours and its length is passed; the XSI strerror_r ends what it writes with a NUL.
    let failed = unsafe { libc::strerror_r(errno.raw_os_error(), text.as_mut_ptr(), text.len()) };
    // SAFETY: the buffer was all NUL before the call and the call keeps the last byte NUL.
    let said = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy();
    let said = if failed == 0 { said.into_owned() } else { "Unknown error".into() };
    match name(errno) {
        Some(name) => format!("{said} ({name})"),
        None => format!("{said} (errno {})", errno.raw_os_error()),
    }
}

/// An I/O error in words; where an errno is behind it, as [`words`] has it: `No space left on device (ENOSPC)`.
#[must_use]
pub fn io_words(error: &io::Error) -> String {
    Errno::from_io_error(error).map_or_else(|| error.to_string(), words)
}

macro_rules! names {
    ($($name:ident)*) => {
        /// Returns the errno's name as errno(3) spells it; `None` for one that no socket, file or ring gives.
        #[must_use]
        pub fn name(errno: Errno) -> Option<&'static str> {
            match errno.raw_os_error() {
                $(libc::$name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV ENODEV
    ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG
    ENOSYS ELOOP ETIME ENOSR ENONET ENOLINK EPROTO EBADMSG EOVERFLOW EBADFD EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE
    EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL
    ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETIMEDOUT ECONNREFUSED
    EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ECANCELED EBADR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_name() {
        assert_eq!(words(Errno::CONNREFUSED), "Connection refused (ECONNREFUSED)");
        assert!(words(Errno::from_raw_os_error(4000)).contains("(errno 4000)"));
        let full = io::Error::from_raw_os_error(libc::ENOSPC);
        assert_eq!(io_words(&full), "No space left on device (ENOSPC)");
        assert_eq!(io_words(&io::Error::other("ours")), "ours");
    }
}
