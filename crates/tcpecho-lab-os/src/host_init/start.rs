//! A request to a host's init: the program to start.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// The most bytes that one [`Start`] may take: arguments, environment and paths together.
pub const LONGEST_START: usize = 128 * 1024;

/// A program to start. Its paths are the lab's: the host shares the lab's file system.
#[derive(Debug)]
pub struct Start<'a> {
    /// Identifies the program in the reports.
    pub id: u32,
    /// The executable's path; `PATH` is not searched.
    pub path: &'a CStr,
    /// The arguments, with the program's name first; at least one.
    pub argv: &'a [CString],
    /// The environment, as `NAME=value`.
    pub env: &'a [CString],
    /// Its working directory.
    pub directory: &'a CStr,
    /// Drops `CAP_NET_BIND_SERVICE`, so that ports below `net.ipv4.ip_unprivileged_port_start` are refused (`EACCES`).
    pub ordinary_ports: bool,
    /// Its standard input, output and error.
    pub stdio: [BorrowedFd<'a>; 3],
    /// The other end of an [`ExecGate`](crate::exec_gate::ExecGate): the program waits at it. The answering process must trace
    /// it by then, because its system calls fail with `ENOSYS` otherwise.
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
