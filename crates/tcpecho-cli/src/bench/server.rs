//! A server under test: a process group of its own, which the terminal's Ctrl-C does not reach, ended
//! when it is dropped. Should we be killed, the kernel ends its first process, and a guard the others.

use std::{
    fs::File,
    io::{self, Read, Seek},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, OwnedFd},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use tcpecho_os::process::end_with_parent;

use super::usage::{self, ProcessorTime};

/// How long a server may take to say that it is ready, or to answer a connection.
const READY: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(3);
/// The last words of a server that are quoted.
const QUOTED: usize = 300;

/// How a server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recipe {
    /// This program with one of its engines, or `auto`.
    Own(String),
    /// A shell command, in which `{port}` is the port to listen on.
    Command(String),
}

/// A running server.
pub(super) struct Served {
    pub(super) addr: SocketAddr,
    /// The engine that it says it has; for our own.
    pub(super) engine: Option<String>,
    child: Child,
    /// Ends the rest of the group should we be killed.
    guard: Option<Child>,
    /// What it writes to standard error.
    words: Option<File>,
}

impl Served {
    /// Starts it on these processors, or on any.
    ///
    /// # Errors
    /// A sentence that says why there is no server, with its last words.
    pub(super) fn start(recipe: &Recipe, ipv6: bool, cpus: &[usize]) -> Result<Self, String> {
        match recipe {
            Recipe::Own(engine) => Self::own(engine, ipv6, cpus),
            Recipe::Command(command) => Self::other(command, cpus),
        }
    }

    fn own(engine: &str, ipv6: bool, cpus: &[usize]) -> Result<Self, String> {
        let program =
            std::env::current_exe().map_err(|error| format!("/proc/self/exe: {error}"))?;
        let mut command = Command::new(program);
        let listen = if ipv6 { "[::1]:0" } else { "127.0.0.1:0" };
        command.args(["serve", "-l", listen, "--log", "off", "--engine", engine]);
        command.args(["--max-connections", "1000000"]);
        command.stdout(Stdio::piped());
        let mut served = Self::spawn(command, cpus)?;
        let line = served.first_line().map_err(|error| served.explain(&error.to_string()))?;
        let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name));
        served.engine = field("engine=").map(str::to_owned);
        let addr = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next());
        match addr.and_then(|addr| addr.parse().ok()) {
            Some(addr) => served.addr = addr,
            None => return Err(served.explain(&line)),
        }
        Ok(served)
    }

    fn other(command: &str, cpus: &[usize]) -> Result<Self, String> {
        // A port that was free a moment ago: the command cannot tell us which one it took.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let addr = free.map_err(|error| format!("a free port: {error}"))?;
        let text = command.replace("{port}", &addr.port().to_string());
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(&text).stdout(Stdio::null());
        let mut served = Self::spawn(shell, cpus)?;
        served.addr = addr;
        served.guard = guard(served.pid()).ok();
        let start = Instant::now();
        while start.elapsed() < READY {
            if TcpStream::connect_timeout(&addr, READY).is_ok() {
                return Ok(served);
            }
            if let Ok(Some(_)) = served.child.try_wait() {
                return Err(served.explain("it ended at once"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(served.explain(&format!("nobody listens on {addr}")))
    }

    /// Started on its processors it stays there, with all its threads and children.
    fn spawn(mut command: Command, cpus: &[usize]) -> Result<Self, String> {
        let words = scratch();
        let stderr = words.as_ref().and_then(|file| file.try_clone().ok());
        command.stdin(Stdio::null()).stderr(stderr.map_or_else(Stdio::null, Stdio::from));
        command.process_group(0);
        end_with_parent(&mut command, Signal::TERM);
        let before = sched_getaffinity(None).map_err(|errno| format!("affinity: {errno}"))?;
        if !cpus.is_empty() {
            let mut set = CpuSet::new();
            for cpu in cpus {
                set.set(*cpu);
            }
            sched_setaffinity(None, &set)
                .map_err(|errno| format!("--server-cpu: {}", tcpecho::words(errno)))?;
        }
        let child = command.spawn();
        sched_setaffinity(None, &before).map_err(|errno| format!("affinity: {errno}"))?;
        let child = child.map_err(|error| format!("the server: {error}"))?;
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self { addr, engine: None, child, guard: None, words })
    }

    /// The first line, as far as it comes in time. Byte by byte: the pipe stays open after it.
    fn first_line(&mut self) -> io::Result<String> {
        let stdout = self.child.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let (deadline, mut line, mut byte) = (Instant::now() + READY, Vec::new(), [0]);
        while readable(stdout, deadline.saturating_duration_since(Instant::now()))? {
            if stdout.read(&mut byte)? == 0 || byte == *b"\n" {
                break;
            }
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn explain(&mut self, what: &str) -> String {
        let status = self.stop();
        let said = self.last_words();
        let status = status.map_or_else(String::new, |status| format!(" ({status})"));
        let what = [what, &said].join(" ");
        format!("the server did not start{status}: {}", what.trim())
    }

    fn last_words(&mut self) -> String {
        let Some(words) = &mut self.words else { return String::new() };
        let mut text = Vec::new();
        if words.rewind().is_err() || words.take(1 << 16).read_to_end(&mut text).is_err() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&text);
        let line = text.trim().lines().last().unwrap_or_default();
        line.chars().filter(|c| !c.is_control()).take(QUOTED).collect()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, should it have ended by itself.
    pub(super) fn death(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let said = self.last_words();
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        Some(format!("the server ended by itself ({status}){said}"))
    }

    /// Ends the group: asks, waits for its first process, and kills what is left.
    fn stop(&mut self) -> Option<ExitStatus> {
        let pid = Pid::from_child(&self.child);
        // Reaped, its number may be another's already; only a guard in the group still holds it.
        let reaped = self.child.try_wait().ok().flatten();
        if reaped.is_none() {
            // Whoever is gone already needs no signal.
            let _ = kill_process_group(pid, Signal::TERM);
            let _ = pidfd(pid).and_then(|process| readable(&process, END));
        }
        if reaped.is_none() || self.guard.is_some() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.wait();
        }
        reaped.or_else(|| self.child.wait().ok())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A process in the server's group that kills the group at the end of its input, which comes when we
/// are no more: the kernel's own signal reaches the first process of the group only.
fn guard(group: u32) -> io::Result<Child> {
    let group = i32::try_from(group).map_err(io::Error::other)?;
    Command::new("/bin/sh")
        .args(["-c", "trap '' HUP INT TERM; read -r nothing; kill -KILL 0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(group)
        .spawn()
}

fn pidfd(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn readable(descriptor: &impl AsFd, time: Duration) -> io::Result<bool> {
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
    Ok(poll(&mut watched, Some(&time))? > 0)
}

/// A file without a name, for words that are read only if the server fails.
fn scratch() -> Option<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    memfd_create("server", MemfdFlags::CLOEXEC).ok().map(File::from)
}

/// What the server's process used, looked at before and after.
#[derive(Default)]
pub(super) struct Ledger {
    pid: Option<u32>,
    begin: Option<ProcessorTime>,
    pub(super) cpu_ns: Option<f64>,
    /// Bytes: before the connections, and with them.
    pub(super) memory_before: Option<f64>,
    pub(super) memory_held: Option<f64>,
}

impl Ledger {
    pub(super) fn of(pid: Option<u32>) -> Self {
        let memory_before = pid.and_then(|pid| usage::memory(pid, "Pss:").ok());
        Self { pid, memory_before, ..Self::default() }
    }

    pub(super) fn begin(&mut self) {
        self.begin = self.pid.and_then(|pid| ProcessorTime::of(pid).ok());
    }

    pub(super) fn held(&mut self) {
        self.memory_held = self.pid.and_then(|pid| usage::memory(pid, "Pss:").ok());
    }

    pub(super) fn end(&mut self) {
        let now = self.pid.and_then(|pid| ProcessorTime::of(pid).ok());
        let used = now.zip(self.begin.as_ref()).map(|(now, begin)| now.since(begin));
        // Nothing, or less, is what children leave that ended between two ticks of the clock.
        self.cpu_ns = used.filter(|used| *used > 0.0);
    }
}
