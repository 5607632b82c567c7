//! What the kernel knows of this process (proc(5)): for tests that have it for themselves.

use std::{fs, os::fd::OwnedFd, path::PathBuf, time::Duration};

use rustix::{
    process::{Pid, Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};

/// Open descriptors.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Children, zombies included.
pub fn children() -> Vec<Pid> {
    let tasks = tasks("self");
    let lists = tasks.iter().filter_map(|task| fs::read_to_string(task.join("children")).ok());
    let pid = |pid: &str| Pid::from_raw(pid.parse().unwrap()).unwrap();
    lists.flat_map(|list| list.split_whitespace().map(pid).collect::<Vec<_>>()).collect()
}

fn tasks(process: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The server's threads in this process.
pub fn threads() -> Vec<PathBuf> {
    let is_ours = |task: &PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "tcpecho")
    };
    tasks("self").into_iter().filter(is_ours).collect()
}

/// The names of all threads of this process, its kernel workers (`iou-wrk-…`) included.
pub fn all_tasks() -> Vec<String> {
    let name = |task: PathBuf| fs::read_to_string(task.join("comm")).ok();
    tasks("self").into_iter().filter_map(name).map(|name| name.trim().to_owned()).collect()
}

/// The server's threads, in this process or in a child of it.
fn all_threads() -> Vec<PathBuf> {
    let theirs = children().into_iter().flat_map(|pid| tasks(&pid.to_string()));
    threads().into_iter().chain(theirs).collect()
}

/// Processor time that the server's threads have taken.
pub fn cpu() -> Duration {
    let nanos = |task: PathBuf| {
        let schedstat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        schedstat.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(all_threads().into_iter().map(nanos).sum())
}

/// Processor time that this process has taken, the threads that have ended included.
pub fn cpu_of_all() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How often the server's threads went to sleep or were interrupted in doing something.
pub fn switches() -> Vec<(PathBuf, String)> {
    let told = |task: PathBuf| {
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        let lines: Vec<_> = status.lines().filter(|line| line.contains("ctxt_switches")).collect();
        (task, lines.join(" "))
    };
    all_threads().into_iter().map(told).collect()
}

/// Bytes of memory that belong to this process and its children alone.
pub fn memory() -> usize {
    let own = |process: String| {
        let rollup =
            fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
        let kib =
            line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok());
        kib.unwrap_or(0) << 10
    };
    let children: usize = children().iter().map(|pid| own(pid.to_string())).sum();
    own("self".into()) + children
}

/// The states of the connections on a local port.
pub fn connections(port: u16) -> Vec<String> {
    let sockets = tcpecho_os::sock_diag::tcp_sockets(port).unwrap();
    sockets.iter().map(|socket| socket.state.to_string()).collect()
}

/// Opens descriptors until there are no more, having lowered the limit to a few.
pub fn take_all_descriptors() -> Vec<OwnedFd> {
    let limit = getrlimit(Resource::Nofile);
    let few = 64 + descriptors() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(few), ..limit }).unwrap();
    let null = OwnedFd::from(fs::File::open("/dev/null").unwrap());
    let mut taken = Vec::with_capacity(few as usize);
    while let Ok(fd) = null.try_clone() {
        taken.push(fd);
    }
    taken.push(null);
    taken
}
