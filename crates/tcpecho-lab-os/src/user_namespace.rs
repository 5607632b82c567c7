//! A user namespace, in which an ordinary user has the capabilities to make network namespaces (user_namespaces(7)).
//!
//! Nothing here allocates, so that a forked child may call it.

use std::io::Write as _;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use tcpecho_os::failed::Failed;

/// Moves the process into a new user namespace where its user and group are 0 and it has every capability.
///
/// The kernel allows it only to a process with a single thread, so call it first in `main`.
///
/// # Errors
/// `unshare(CLONE_NEWUSER)`: `EINVAL` if the process has other threads, `EPERM` or `EACCES` where the system forbids it
/// to users, `ENOSPC` at the limit `user.max_user_namespaces`. Writing the maps: `EACCES` or `EPERM` where `AppArmor`
/// restricts what the namespace may do.
pub fn enter_user_namespace() -> Result<(), Failed> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    // SAFETY: CLONE_FILES, the flag that could take descriptors from other threads, is not passed.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }
        .map_err(Failed::at("unshare(CLONE_NEWUSER)"))?;
    write("/proc/self/setgroups", "deny").map_err(Failed::at("write /proc/self/setgroups"))?;
    write_map("/proc/self/uid_map", uid).map_err(Failed::at("write /proc/self/uid_map"))?;
    write_map("/proc/self/gid_map", gid).map_err(Failed::at("write /proc/self/gid_map"))
}

/// Maps 0 inside to `id` outside, and nothing else, which needs no privilege.
fn write_map(path: &str, id: u32) -> Result<(), Errno> {
    let mut line = [0; 32];
    let mut rest = &mut line[..];
    write!(rest, "0 {id} 1").map_err(|_| Errno::OVERFLOW)?;
    let length = 32 - rest.len();
    write(path, std::str::from_utf8(&line[..length]).unwrap_or_default())
}

fn write(path: &str, text: &str) -> Result<(), Errno> {
    let file = open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes()).map(drop)
}
