//! strace(1): which system calls a server makes, and what happens when some of them fail.

use std::{
    collections::BTreeMap,
    fs,
    net::Shutdown,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{Serving, echoes, has, program, sees_the_end};

/// A system call that was seen.
#[derive(Debug)]
pub(crate) struct Call {
    /// Seconds since the epoch.
    pub(crate) at: f64,
    /// `recvfrom(5, ...) = 3`
    pub(crate) text: String,
}

impl Call {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.text.strip_prefix(name).is_some_and(|rest| rest.starts_with('('))
    }

    pub(crate) fn failed(&self) -> bool {
        self.text.contains(" = -1 ")
    }

    pub(crate) fn injected(&self) -> bool {
        self.text.ends_with("(INJECTED)")
    }
}

/// Where a trace is written; gone with its value.
pub(crate) struct Log(PathBuf);

impl Log {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (pid, number) = (std::process::id(), NUMBER.fetch_add(1, Relaxed));
        Log(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("trace-{pid}-{number}")))
    }

    /// Every call that has begun, in the order in which they did.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(call).collect()
    }

    /// Waits until no call begins for so long; `false` if that never happens.
    pub(crate) fn is_quiet_for(&self, span: Duration) -> bool {
        let start = Instant::now();
        let (mut seen, mut since) = (self.calls().len(), Instant::now());
        while since.elapsed() < span {
            if start.elapsed() > Duration::from_secs(60) {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
            let now = self.calls().len();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        true
    }
}

/// The second half of an interrupted line, a signal or an exit is no call.
fn call(line: &str) -> Option<Call> {
    let (_pid, rest) = line.trim_start().split_once(' ')?;
    let (at, text) = rest.trim_start().split_once(' ')?;
    let is_call = text.starts_with(|c: char| c.is_ascii_lowercase());
    is_call.then_some(Call { at: at.parse().ok()?, text: text.into() })
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether processes can be traced here; SKIP if not.
pub(crate) fn can_trace() -> bool {
    if !has("strace") {
        return false;
    }
    let tried = Command::new("strace").args(["-D", "-f", "-o", "/dev/null", "true"]).output();
    let works = tried.as_ref().is_ok_and(|tried| tried.status.success());
    if !works {
        eprintln!("SKIP: strace does not work here: {tried:?}");
    }
    works
}

/// `strace TRACING PROGRAM`, not yet run: the program's arguments are to follow. With `-D` the tracer is not the parent: the
/// program is still ours to signal and reap.
pub(crate) fn tracing(tracing: &[&str]) -> (Command, Log) {
    let log = Log::new();
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-q", "--seccomp-bpf", "-ttt", "-o"]).arg(&log.0).args(tracing);
    command.arg(program());
    (command, log)
}

/// A server that is traced from its start.
pub(crate) fn traced(options: &[&str], engine: &str, more: &[&str]) -> (Serving, Log) {
    let (mut command, log) = tracing(options);
    command.args(["serve", "-l", "127.0.0.1:0", "--engine", engine]).args(more);
    (Serving::run(&mut command), log)
}

/// The messages of [`calls_of_a_client`].
pub(crate) const MESSAGES: usize = 100;

/// How often a server makes each call, from accept on, for one client that sends so many messages, each when the one before
/// has come back.
pub(crate) fn calls_of_a_client(engine: &str, more: &[&str]) -> (BTreeMap<String, usize>, Log) {
    let args = [&["--log", "off"], more].concat();
    let (server, log) = traced(&["-e", "trace=!futex"], engine, &args);
    let mut stream = server.connects();
    for _ in 0..MESSAGES {
        echoes(&mut stream, b"a message");
    }
    stream.shutdown(Shutdown::Write).unwrap();
    sees_the_end(&mut stream);
    let _ = server.stops();
    let calls = log.calls();
    let accepted = calls.iter().position(|call| call.is("accept4") && !call.failed());
    let mut counts = BTreeMap::new();
    for call in calls.iter().skip(accepted.unwrap() + 1) {
        let name = call.text.split('(').next().unwrap();
        *counts.entry(name.to_string()).or_default() += 1;
    }
    (counts, log)
}

/// How often this call was made.
pub(crate) fn count(counts: &BTreeMap<String, usize>, name: &str) -> usize {
    counts.get(name).copied().unwrap_or(0)
}

/// How pthread_create(3) calls clone here; before glibc 2.34 and under some seccomp filters it is the old way.
pub(crate) fn call_for_a_thread() -> &'static str {
    let (server, log) = traced(&["-e", "trace=clone,clone3"], "thread", &[]);
    super::visits(server.addr());
    let new = log.calls().iter().any(|call| call.is("clone3") && !call.failed());
    if new { "clone3" } else { "clone" }
}
