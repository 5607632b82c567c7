//! An errno that already knows which operation gave it.

use std::borrow::Cow;
use std::fmt;

use rustix::io::Errno;

/// An operation and the errno it failed with: `open /dev/net/tun: Permission denied (EACCES)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What was attempted, as a system call with its telling argument.
    pub operation: Cow<'static, str>,
    /// What the kernel said.
    pub errno: Errno,
}

impl Failed {
    /// For `map_err`: names the attempt.
    pub fn at(operation: impl Into<Cow<'static, str>>) -> impl FnOnce(Errno) -> Failed {
        move |errno| Failed { operation: operation.into(), errno }
    }

    /// As [`Failed::at`], for the errors of `std`; one that has no errno becomes `EIO`.
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
