//! An errno together with the operation that failed.

use std::borrow::Cow;
use std::fmt;

use rustix::io::Errno;

/// An operation and the errno it failed with: `open /dev/net/tun: Permission denied (EACCES)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The operation, as a system call with the argument that matters.
    pub operation: Cow<'static, str>,
    /// The errno that the kernel returned.
    pub errno: Errno,
}

impl Failed {
    /// Returns a function for `map_err` that adds the operation to an errno.
    pub fn at(operation: impl Into<Cow<'static, str>>) -> impl FnOnce(Errno) -> Failed {
        move |errno| Failed { operation: operation.into(), errno }
    }

    /// Returns the same for errors of `std`. One without an errno, which std made itself, becomes `EIO`.
    pub fn at_io(operation: impl Into<Cow<'static, str>>) -> impl FnOnce(std::io::Error) -> Failed {
        move |error| Failed {
            operation: operation.into(),
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, crate::errno::words(self.errno))
    }
}

impl std::error::Error for Failed {}

impl From<Failed> for std::io::Error {
    fn from(failed: Failed) -> Self {
        std::io::Error::new(std::io::Error::from(failed.errno).kind(), failed)
    }
}
