//! The machine the figures were taken on, and the two cores they were taken with.

use std::fs;
use std::io;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Something that the report prints above the figures: its name and its value.
pub(crate) type Fact = (&'static str, String);

/// A core for the servers and one for the generator, if there are two.
pub(crate) struct Cores {
    pub(crate) count: usize,
    pair: Option<(usize, usize)>,
}

impl Cores {
    /// Takes the first and the last core that this process may use, and moves to the last.
    pub(crate) fn take() -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect();
        let pair = (usable.len() > 1).then(|| (usable[0], usable[usable.len() - 1]));
        let cores = Self { count: usable.len(), pair };
        cores.on_the_servers(|| Ok(()))?;
        Ok(cores)
    }

    /// Does something on the servers' core: a process started there stays there, with all its
    /// threads and children.
    pub(crate) fn on_the_servers<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some((server, generator)) = self.pair else { return work() };
        pin(server)?;
        let outcome = work();
        pin(generator)?;
        outcome
    }

    pub(crate) fn describe(&self) -> String {
        match self.pair {
            None => "one, shared by server and generator".to_owned(),
            Some((server, generator)) => {
                let count = self.count;
                format!("{count}; server on core {server}, generator on core {generator}")
            }
        }
    }
}

fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// How many descriptors a process may have. The servers inherit the limit.
pub(crate) fn descriptors() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize)
}

/// Raises the number of descriptors to what is allowed without asking.
pub(crate) fn raise_descriptors() -> io::Result<()> {
    Ok(tcpecho_os::limits::raise_descriptors().map(drop)?)
}

/// What a reader needs to compare these figures with others.
pub(crate) fn facts(cores: &Cores) -> Vec<Fact> {
    vec![
        (
            "kernel",
            tcpecho_os::sysctl::read("kernel.osrelease").unwrap_or_else(|_| "unknown".into()),
        ),
        ("processor", processor()),
        ("cores", cores.describe()),
        ("congestion control", line("/proc/sys/net/ipv4/tcp_congestion_control")),
        ("net.core.somaxconn", line("/proc/sys/net/core/somaxconn")),
        ("descriptors for each process", descriptors().to_string()),
    ]
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn processor() -> String {
    let text = line("/proc/cpuinfo");
    let model = text.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map(|(_, model)| model);
    model.unwrap_or("unknown").to_owned()
}
