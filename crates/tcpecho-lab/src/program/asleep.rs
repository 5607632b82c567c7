//! What `/proc` shows of a process. The kernel has no event for "it sleeps now", so this is polled.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tcpecho_os::process::Exit;

use crate::tracer::number_inside;

/// The process number of a pidfd in this PID namespace.
pub(super) fn pid_of(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

/// The letter after the name in `/proc/PID/stat`; the name may contain any character.
pub(super) fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The state of a process for its parent: a zombie only once its tracer has let go of it, because
/// its parent cannot wait for it before.
fn state_for_parent(pid: i32) -> Option<char> {
    let state = state(pid)?;
    let status = || std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let is_traced = |status: String| {
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() != "0")
    };
    if state == 'Z' && is_traced(status()) { Some('t') } else { Some(state) }
}

/// A child of a program.
#[derive(Debug)]
pub(crate) struct Child {
    /// Readable when it has ended.
    pub(crate) pidfd: OwnedFd,
    pid: i32,
    /// Its process number inside the host.
    pub(crate) number: i32,
}

impl Child {
    /// Returns the child that has this number inside the host, if there is one.
    pub(crate) fn of(parent: i32, number: i32) -> Option<Self> {
        let is_it = |(pid, _): &(i32, char)| number_inside(*pid) == Some(number);
        let (pid, _) = children(parent).into_iter().find(is_it)?;
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Child { pidfd, pid, number })
    }

    /// How it ended; unknown once its parent has waited for it.
    pub(crate) fn exit(&self) -> Exit {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // proc_pid_stat(5): after the name, the state is the third field and the status the last.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let status = fields.split_whitespace().nth(49).and_then(|status| status.parse().ok());
        match status.filter(|_| fields.starts_with('Z')) {
            Some(status) if libc::WIFEXITED(status) => Exit::Exited(libc::WEXITSTATUS(status)),
            Some(status) if libc::WIFSIGNALED(status) => Exit::Killed(libc::WTERMSIG(status)),
            _ => Exit::Unknown,
        }
    }
}

/// The system call in which a process sleeps. A traced process may also stand before or after it.
pub(super) fn system_call(pid: i32) -> Option<i64> {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    let call = call.split_whitespace().next()?.parse().ok()?;
    (state(pid) == Some('S')).then_some(call)
}

/// The children of all its threads. The list is exact while no child is started or exits.
pub(crate) fn children(pid: i32) -> Vec<(i32, char)> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<i32> = lists
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect();
    pids.into_iter().filter_map(|pid| Some((pid, state_for_parent(pid)?))).collect()
}

pub(super) fn sockets(pid: i32) -> Vec<i32> {
    let Ok(directory) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let sockets = directory.flatten().filter(|entry| {
        let target = std::fs::read_link(entry.path());
        target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    });
    let mut numbers: Vec<i32> =
        sockets.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}
