//! What a host's init is asked for.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

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
