//! A server under test: a process group of its own, which the terminal's Ctrl-C does not reach, ended
//! when it is dropped. Should we be killed, the kernel ends its first process, and a guard the others.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, OwnedFd},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use tcpecho_load::usage::{self, ProcessorTime};
use tcpecho_os::{errno::io_words, process::end_with_parent, text::printable};

/// How long a server may take to say that it is ready, or to answer a connection.
const READY: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(3);
/// How often, and after which time, the memory of a server is read again until it is the same twice.
const READINGS: u32 = 20;
const BETWEEN_READINGS: Duration = Duration::from_millis(5);
/// The last words of a server that are quoted, and how many bytes are kept for that.
const QUOTED: usize = 300;
const KEPT: usize = 4096;
const STDERR_TAIL: Duration = Duration::from_millis(500);
/// A line of ours that says where the server listens is far shorter.
const LONGEST_LINE: usize = 4096;

/// How a server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerCommand {
    /// This program with one of its engines, or `auto`.
    Own(String),
    /// A shell command, in which `{port}` is the port to listen on.
    Command(String),
}

/// A running server.
pub(super) struct RunningServer {
    pub(super) addr: SocketAddr,
    /// The engine that it says it has; for our own.
    pub(super) engine: Option<String>,
    child: Child,
    /// Ends the rest of the group should we be killed.
    guard: Option<Child>,
    /// The last of what it writes to standard error.
    words: Option<StderrTail>,
    /// What a reader of the figures must know.
    pub(super) note: Option<String>,
}

impl RunningServer {
    /// Starts it on these processors, or on any. Where they were chosen by the user, it is an error that
    /// the server may not run there; else it runs on any, with a note.
    ///
    /// # Errors
    /// A sentence that says why there is no server, with its last words.
    pub(super) fn start(
        command: &ServerCommand,
        ipv6: bool,
        cpus: &[usize],
        chosen: bool,
    ) -> Result<Self, String> {
        match command {
            ServerCommand::Own(engine) => Self::own(engine, ipv6, cpus, chosen),
            ServerCommand::Command(command) => Self::other(command, cpus, chosen),
        }
    }

    fn own(engine: &str, ipv6: bool, cpus: &[usize], chosen: bool) -> Result<Self, String> {
        let program = std::env::current_exe()
            .map_err(|error| format!("/proc/self/exe: {}", io_words(&error)))?;
        let mut command = Command::new(program);
        let listen = if ipv6 { "[::1]:0" } else { "127.0.0.1:0" };
        command.args(["serve", "-l", listen, "--log", "off", "--engine", engine]);
        command.args(["--max-connections", "1000000"]);
        command.stdout(Stdio::piped());
        // What is configured for a server of the user's is not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"TCPECHO_") {
                command.env_remove(name);
            }
        }
        let mut served = Self::spawn(command, cpus, chosen)?;
        let line = served.first_line().map_err(|error| served.explain(&io_words(&error)))?;
        let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name));
        served.engine = field("engine=").map(str::to_owned);
        let addr = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next());
        match addr.and_then(|addr| addr.parse().ok()) {
            Some(addr) => served.addr = addr,
            None => return Err(served.explain(&line)),
        }
        Ok(served)
    }

    fn other(command: &str, cpus: &[usize], chosen: bool) -> Result<Self, String> {
        // A port that was free a moment ago: the command cannot tell us which one it took.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let addr = free.map_err(|error| format!("a free port: {}", io_words(&error)))?;
        let text = command.replace("{port}", &addr.port().to_string());
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(&text).stdout(Stdio::null());
        let mut served = Self::spawn(shell, cpus, chosen)?;
        served.addr = addr;
        served.guard = guard(served.pid()).ok();
        let start = Instant::now();
        while start.elapsed() < READY {
            if TcpStream::connect_timeout(&addr, READY).is_ok_and(|stream| is_of_another(&stream)) {
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
    fn spawn(mut command: Command, cpus: &[usize], chosen: bool) -> Result<Self, String> {
        let (words, stderr) = StderrTail::pipe().unzip();
        command.stdin(Stdio::null()).stderr(stderr.map_or_else(Stdio::null, Stdio::from));
        command.process_group(0);
        end_with_parent(&mut command, Signal::TERM);
        let moved = move_to(cpus);
        let child = command.spawn();
        // The pipe to read from has no end while this holds the other side.
        drop(command);
        let mut note = None;
        match moved {
            Ok(Some(before)) => {
                sched_setaffinity(None, &before).map_err(|errno| {
                    format!("sched_setaffinity: {}", tcpecho_os::errno::words(errno))
                })?;
            }
            Ok(None) => {}
            Err(errno) => {
                note = Some(format!(
                    "the server may run on any processor, beside the generator: sched_setaffinity: {}",
                    tcpecho_os::errno::words(errno)
                ));
            }
        }
        let child = child.map_err(|error| format!("the server: {}", io_words(&error)))?;
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut served = Self { addr, engine: None, child, guard: None, words, note };
        match moved {
            Err(errno) if chosen => {
                served.stop();
                Err(format!("--server-cpu: {}", tcpecho_os::errno::words(errno)))
            }
            _ => Ok(served),
        }
    }

    /// The first line, as far as it comes in time. Byte by byte: the pipe stays open after it.
    fn first_line(&mut self) -> io::Result<String> {
        let stdout = self.child.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let (deadline, mut line, mut byte) = (Instant::now() + READY, Vec::new(), [0]);
        while line.len() < LONGEST_LINE
            && readable(stdout, deadline.saturating_duration_since(Instant::now()))?
        {
            if stdout.read(&mut byte)? == 0 || byte == *b"\n" {
                break;
            }
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn explain(&mut self, what: &str) -> String {
        let status = self.stop();
        let said = self.stderr_tail();
        let status = status.map_or_else(String::new, |status| format!(" ({status})"));
        let parts: Vec<&str> = [what, &said].into_iter().filter(|part| !part.is_empty()).collect();
        format!("the server did not start{status}: {}", parts.join("; stderr: "))
    }

    fn stderr_tail(&mut self) -> String {
        let Some(words) = &self.words else { return String::new() };
        let text = words.get();
        let text = String::from_utf8_lossy(&text);
        let line = text.trim().lines().last().unwrap_or_default();
        printable(line).chars().take(QUOTED).collect()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, should it have ended by itself.
    pub(super) fn death(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let said = self.stderr_tail();
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

impl Drop for RunningServer {
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

/// Moves this thread to these processors, if any are given, and returns those that it had before.
fn move_to(cpus: &[usize]) -> Result<Option<CpuSet>, Errno> {
    if cpus.is_empty() {
        return Ok(None);
    }
    let before = sched_getaffinity(None)?;
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    sched_setaffinity(None, &set)?;
    Ok(Some(before))
}

/// Whether it is connected to another socket. While nobody listens on a port that the kernel chooses from,
/// a socket can be joined to itself.
fn is_of_another(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local != peer)
}

/// The last of what a server writes to standard error; read only if it fails. A thread takes it in, so that
/// a server that writes much neither waits nor fills our memory.
struct StderrTail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    /// Disconnected when there is no more to come.
    end: mpsc::Receiver<()>,
}

impl StderrTail {
    /// None where there is no pipe or no thread for it.
    fn pipe() -> Option<(Self, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let all = Arc::clone(&kept);
        let (open, end) = mpsc::channel();
        let work = move || {
            let (mut read, mut buffer) = (File::from(read), [0; 4096]);
            // It ends with the last process that can write to it.
            while let Ok(count @ 1..) = read.read(&mut buffer) {
                let mut kept = all.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&buffer[..count]);
                let surplus = kept.len().saturating_sub(KEPT);
                kept.drain(..surplus);
            }
            drop::<mpsc::Sender<()>>(open);
        };
        std::thread::Builder::new().name("words".into()).spawn(work).ok()?;
        Some((Self { kept, end }, write))
    }

    /// What there is once the server has ended; a process that it left behind may hold the pipe open.
    fn get(&self) -> Vec<u8> {
        let _ = self.end.recv_timeout(STDERR_TAIL);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

/// What the server's process used, looked at before and after.
#[derive(Default)]
pub(super) struct ServerUsage {
    pid: Option<u32>,
    begin: Option<ProcessorTime>,
    pub(super) cpu_ns: Option<f64>,
    /// Bytes: before the connections, and with them.
    pub(super) memory_before: Option<f64>,
    pub(super) memory_held: Option<f64>,
}

impl ServerUsage {
    pub(super) fn of(pid: Option<u32>) -> Self {
        let memory_before = pid.and_then(memory_at_rest);
        Self { pid, memory_before, ..Self::default() }
    }

    pub(super) fn begin(&mut self) {
        self.begin = self.pid.and_then(|pid| ProcessorTime::of(pid).ok());
    }

    pub(super) fn held(&mut self) {
        self.memory_held = self.pid.and_then(|pid| usage::own_memory(pid).ok());
    }

    pub(super) fn end(&mut self) {
        let now = self.pid.and_then(|pid| ProcessorTime::of(pid).ok());
        let used = now.zip(self.begin.as_ref()).map(|(now, begin)| now.since(begin));
        // Nothing, or less, is what children leave that ended between two ticks of the clock.
        self.cpu_ns = used.filter(|used| *used > 0.0);
    }
}

/// The memory of a server that has served and closed its connections: once two readings are the same.
fn memory_at_rest(pid: u32) -> Option<f64> {
    let mut last = usage::own_memory(pid).ok()?;
    for _ in 0..READINGS {
        std::thread::sleep(BETWEEN_READINGS);
        let now = usage::own_memory(pid).ok()?;
        if now.to_bits() == last.to_bits() {
            break;
        }
        last = now;
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::usage;

    /// A process that has ended has no memory, and that is not the same as none at all.
    #[test]
    fn memory_is_that_of_a_process_that_is_there() {
        let own = usage::memory(std::process::id(), "Rss:").unwrap();
        assert!(own > 1e5, "{own}");
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        child.kill().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        let error = usage::memory(child.id(), "Pss:").unwrap_err().to_string();
        child.wait().unwrap();
        assert!(error.starts_with("its memory: "), "{error}");
    }
}
