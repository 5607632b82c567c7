//! Keeps the kernel's timestamps on (Documentation/networking/timestamping.rst).

use std::os::fd::OwnedFd;

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};
use tcpecho_os::timestamping;

/// Keeps timestamps of received packets on while it exists.
///
/// The kernel stamps them while some socket wants it, and needs a moment to begin. With this one it need not begin anew
/// for each connection.
#[derive(Debug)]
pub struct KernelTimestamps(#[allow(dead_code, reason = "held open")] OwnedFd);

impl KernelTimestamps {
    /// Turns them on.
    ///
    /// # Errors
    ///
    /// From socket(2), or from setsockopt(2) where the kernel has no `SO_TIMESTAMPING`.
    pub fn keep_on() -> Result<Self, Errno> {
        let fd = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        timestamping::enable(&fd)?;
        Ok(KernelTimestamps(fd))
    }
}
