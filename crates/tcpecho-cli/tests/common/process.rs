//! What /proc tells of a process.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Pid, PidfdFlags, pidfd_open},
};

fn proc(pid: Pid, file: &str) -> PathBuf {
    format!("/proc/{}/{file}", pid.as_raw_pid()).into()
}

fn entries(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Its children, zombies included.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let threads = entries(proc(pid, "task"));
    let lists = threads.iter().filter_map(|task| fs::read_to_string(task.join("children")).ok());
    lists
        .flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
        .filter_map(Pid::from_raw)
        .collect()
}

/// R, S, T, Z, or nothing when there is no such process.
pub(crate) fn state(pid: Pid) -> Option<char> {
    after_name(pid)?.chars().next()
}

/// The fields of /proc/PID/stat from the third on; a name may contain anything.
fn after_name(pid: Pid) -> Option<String> {
    let stat = fs::read_to_string(proc(pid, "stat")).ok()?;
    Some(stat[stat.rfind(')')? + 2..].to_string())
}

/// Whether it runs; a zombie does not.
pub(crate) fn lives(pid: Pid) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

/// Waits until none of these runs any more; whether that was within `patience`.
pub(crate) fn end_within(pids: &[Pid], patience: Duration) -> bool {
    let end = Instant::now() + patience;
    pids.iter().all(|pid| {
        // It may be gone already.
        let Ok(process) = pidfd_open(*pid, PidfdFlags::empty()) else { return true };
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap();
        let mut watched = [PollFd::new(&process, PollFlags::IN)];
        retry_on_intr(|| poll(&mut watched, Some(&left))).unwrap() > 0
    })
}

/// Ticks of a hundredth of a second that it has used, in user and kernel mode.
pub(crate) fn ticks(pid: Pid) -> u64 {
    let stat = after_name(pid).unwrap();
    stat.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Resident memory in bytes.
pub(crate) fn resident(pid: Pid) -> usize {
    let status = fs::read_to_string(proc(pid, "status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024)
}

/// What its descriptors lead to.
pub(crate) fn descriptors(pid: Pid) -> Vec<(i32, String)> {
    let described = entries(proc(pid, "fd")).into_iter().filter_map(|entry| {
        let number = entry.file_name()?.to_str()?.parse().ok()?;
        Some((number, fs::read_link(&entry).ok()?.to_string_lossy().into_owned()))
    });
    described.collect()
}

/// The inodes of its sockets.
pub(crate) fn sockets_of(pid: Pid) -> Vec<u32> {
    let links = descriptors(pid).into_iter().map(|(_, link)| link);
    links
        .filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}
