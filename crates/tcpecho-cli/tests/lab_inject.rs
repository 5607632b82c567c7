//! The lab when system calls fail: it neither spins nor crashes, reports the failure, and nothing
//! outlives it, neither its inits nor the programs in its hosts.
//!
//! The first and the last call of each kind fail in every thread of the lab, its inits and their
//! programs; with `TCPECHO_TEST_INJECT=all` in the environment many more do, which takes minutes.

#[path = "common/inject.rs"]
mod inject;

#[path = "common/process.rs"]
#[allow(dead_code, reason = "a part is of use here")]
mod process;

use std::{
    fmt, fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use inject::{Injected, Injection, census, injections, try_all};
use rustix::process::{Pid, Signal, kill_process};

const TCPECHO: &str = env!("CARGO_BIN_EXE_tcpecho");

/// Hosts are made, lose power and boot; programs start, exit and are killed with their host.
const RUN: [&str; 3] = ["lab", "run", "crash-and-reboot"];
/// The lab waits a minute for what a failure has prevented. It is watched for this time here, and
/// then killed.
const WATCHED: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(60);

/// The calls of a run without failures; prints SKIP and returns nothing where they cannot be
/// traced.
fn calls() -> Option<String> {
    let tried = Command::new("strace").args(["-D", "-f", "-o", "/dev/null", "true"]).output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        println!("SKIP: strace does not work here: {tried:?}");
        return None;
    }
    let ended = Injected::start(TCPECHO, &RUN, None).ends().unwrap();
    if ended.status.code() == Some(77) {
        println!("SKIP: {:?}", ended.lines);
        return None;
    }
    assert!(ended.status.success(), "{:#?}", ended.lines);
    Some(ended.trace)
}

#[test]
fn nothing_outlives_the_lab_when_one_call_fails() {
    let Some(calls) = calls() else { return };
    let census = census(&calls);
    assert!(census.contains_key("recvmsg") && census.contains_key("waitid"), "{census:?}");
    // std panics without random numbers.
    let mut injections = injections(&census);
    injections.retain(|injection| injection.call != "getrandom");
    try_all(&injections, one_call_fails);
}

fn one_call_fails(injection: &Injection) -> Result<(), String> {
    let lab = Injected::start(TCPECHO, &RUN, Some(injection));
    let pid = lab.pid();
    let is_over = process::end_within(&[pid], WATCHED);
    if !is_over {
        if !lab.rests() {
            return Err("it spins".into());
        }
        lab.gets(Signal::KILL);
    }
    let ended = lab.ends()?;
    if is_over && ended.crashed() {
        return Err(format!("{:?}: {:#?}", ended.status, ended.lines));
    }
    let held = ended.lines.iter().any(|line| line.contains("1 of 1 passed"));
    // Failed writes do not show here.
    if is_over && ended.status.success() && !held && injection.call != "write" {
        return Err(format!("status 0, but: {:#?}", ended.lines));
    }
    Ok(())
}

/// Not one call but each of the kind, as with a seccomp filter: the lab is killed meanwhile, or
/// exits by itself.
#[test]
fn nothing_outlives_the_lab_where_calls_are_refused() {
    let Some(_) = calls() else { return };
    let calls = [
        "recvmsg",
        "sendmsg",
        "ppoll",
        "poll",
        "wait4",
        "waitid",
        "signalfd4",
        "pidfd_send_signal",
        "close_range",
        "shutdown",
        "recvfrom",
        "sendto",
    ];
    try_all(&calls.map(Refused), Refused::is_survived_by_nothing);
}

struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every {}", self.0)
    }
}

impl Refused {
    fn is_survived_by_nothing(&self) -> Result<(), String> {
        let mark = format!("TCPECHO_TEST_REFUSED={}-{}", std::process::id(), self.0);
        let (name, value) = mark.split_once('=').unwrap();
        let inject = format!("inject={}:error=EPERM", self.0);
        let lab = Command::new("strace")
            .args(["-D", "-f", "-q", "--seccomp-bpf", "-o", "/dev/null", "-e", &inject, TCPECHO])
            .args(RUN)
            .env(name, value)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lab = Marked { lab, mark };
        let pid = Pid::from_child(&lab.lab);
        process::end_within(&[pid], WATCHED);
        let _ = lab.lab.kill();
        lab.lab.wait().unwrap();
        if until(PATIENCE, || lab.family().is_empty()) {
            return Ok(());
        }
        let ticks = |pids: &[Pid]| pids.iter().map(|pid| process::ticks(*pid)).sum::<u64>();
        let left = lab.family();
        Err(format!("left behind: {left:?}, having used {} ticks", ticks(&left)))
    }
}

/// A lab whose processes are known by their environment.
struct Marked {
    lab: Child,
    mark: String,
}

impl Marked {
    /// Its living processes, without strace(1).
    fn family(&self) -> Vec<Pid> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes())
                && name.trim() != "strace"
        })
        .filter_map(Pid::from_raw)
        .collect()
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        for pid in self.family() {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.lab.kill();
        let _ = self.lab.wait();
    }
}

/// Polls every few milliseconds, for this time.
fn until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > patience {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}
