//! This machine: what a reader needs to compare figures with those of others.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity};
use tcpecho_os::sysctl;

/// What is known of the machine, by name.
pub(crate) type Fact = (&'static str, String);

/// The processors that this process may use.
pub(crate) fn processors() -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(None) else { return vec![0] };
    (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect()
}

/// One line of a file, or `None`.
pub(crate) fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The kernel, the processors, and settings of TCP.
pub(crate) fn facts() -> Vec<Fact> {
    let known = |key| sysctl::read(key).unwrap_or_else(|_| "unknown".to_owned());
    vec![
        ("kernel", known("kernel.osrelease")),
        ("processor", model()),
        ("processors", processors().len().to_string()),
        ("congestion_control", known("net.ipv4.tcp_congestion_control")),
        ("somaxconn", known("net.core.somaxconn")),
    ]
}

fn model() -> String {
    let text = line("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map(|(_, model)| model);
    model.unwrap_or("unknown").to_owned()
}
