//! `fork` and `wait`, as a server with one child per connection uses them (UNP 5.7 to 5.10).

use std::os::fd::OwnedFd;

use rustix::process::{WaitOptions, wait};

use super::Answer;

/// Returns the child's process number. The parent's descriptor `socket` is closed.
pub(super) fn fork(socket: OwnedFd) -> Answer {
    Ok(tcpecho_lab_os::fork_echo::fork_echo(socket)?.to_string())
}

/// Returns the number of a child that has exited, or 0 if all of them still run.
pub(super) fn wait_for_any() -> Answer {
    let ended = wait(WaitOptions::NOHANG)?;
    Ok(ended.map_or(0, |(pid, _)| pid.as_raw_pid()).to_string())
}
