//! What a host's init is asked for.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// The most bytes that one [`Start`] may take: arguments, environment and paths together.
pub const LONGEST_START: usize = 128 * 1024;

/// A program to start. All paths and variables are the lab's; the host shares its file system.
#[derive(Debug)]
pub struct Start<'a> {
    /// Comes back with the report.
    pub id: u32,
    /// The executable; it is not searched for.
    pub path: &'a CStr,
    /// The arguments, the program's own name first.
    pub argv: &'a [CString],
    /// `NAME=value`.
    pub env: &'a [CString],
    /// Where it starts.
    pub directory: &'a CStr,
    /// Take `CAP_NET_BIND_SERVICE` away, so that ports below 1024 are refused as to an ordinary user.
    pub ordinary_ports: bool,
    /// Its standard input, output and error.
    pub stdio: [BorrowedFd<'a>; 3],
    /// The other end of an [`ExecGate`]: it starts only when that says so, and whoever holds the other end has to trace it
    /// then.
    pub gate: Option<BorrowedFd<'a>>,
}

/// Why a program did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStarted {
    /// A call failed: pipe(2), clone(2), dup2(2), chdir(2) or execve(2), or the gate said so.
    Failed(Errno),
    /// The host's init received fewer descriptors than were sent. The kernel leaves out those for which the receiver has no
    /// free number (unix(7), `MSG_CTRUNC`), and does not say why.
    DescriptorsLost,
}

impl NotStarted {
    /// The number that goes through the socket: the errno, or 0.
    pub(super) fn number(self) -> i32 {
        match self {
            NotStarted::Failed(errno) => errno.raw_os_error(),
            NotStarted::DescriptorsLost => 0,
        }
    }

    pub(super) fn from_number(number: i32) -> Self {
        match number {
            1..=4095 => NotStarted::Failed(Errno::from_raw_os_error(number)),
            _ => NotStarted::DescriptorsLost,
        }
    }
}

impl From<Errno> for NotStarted {
    fn from(errno: Errno) -> Self {
        NotStarted::Failed(errno)
    }
}
