//! What `/proc` shows of a process. There is no event for "it sleeps now", so it is looked at until it does.

use std::os::fd::{AsRawFd, BorrowedFd};

/// The process number behind a pidfd, as `/proc` here counts.
pub(super) fn pid_of(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

/// The letter behind the name in `/proc/PID/stat`; the name may contain anything.
pub(super) fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The same, but no zombie as long as its tracer has not let go of it: its parent cannot wait for it before.
fn state_for_parent(pid: i32) -> Option<char> {
    let state = state(pid)?;
    let status = || std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let is_traced = |status: String| {
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() != "0")
    };
    if state == 'Z' && is_traced(status()) { Some('t') } else { Some(state) }
}

/// The system call that a sleeping process is in. One that is traced may also stand before or behind it.
pub(super) fn system_call(pid: i32) -> Option<i64> {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    let call = call.split_whitespace().next()?.parse().ok()?;
    (state(pid) == Some('S')).then_some(call)
}

/// The children of all its threads. The list is exact while none of them comes or goes.
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
