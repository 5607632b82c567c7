//! Programs in which one system call fails (strace(1), `--inject`): found by watching which calls a program makes, and
//! judged by how it ends, what it leaves behind and whether it spins meanwhile.
#![allow(dead_code, reason = "every test program uses its own part of it")]

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// In the environment of a program under test and of all its descendants.
const MARK: &str = "TCPECHO_TEST_MARK";
/// With `all` in it every chosen number of every call is tried, and without it two of each.
const EXTENT: &str = "TCPECHO_TEST_INJECT";
/// How long whatever must end, or come to rest, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls whose failure is not the program's to handle: its memory, its end, and what the C library and std do before
/// `main` or for a map, where they abort; and the clocks, which cannot fail. And close(2): strace(1) does not make the call that it fails, whereas Linux closes the
/// descriptor whatever it returns.
const NOT_OURS: [&str; 31] = [
    "arch_prctl",
    "brk",
    "clock_nanosleep",
    "clock_gettime",
    "close",
    "execve",
    "exit",
    "exit_group",
    "futex",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getrandom",
    "gettid",
    "getuid",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
];

/// One failure: the call number `when` of each thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Injection {
    pub(crate) call: String,
    /// As strace(1) writes it, such as `error=ENOMEM`.
    pub(crate) effect: String,
    pub(crate) when: u32,
}

impl Injection {
    /// The call fails with `error`.
    pub(crate) fn error(call: &str, error: &str, when: u32) -> Self {
        Injection { call: call.to_owned(), effect: format!("error={error}"), when }
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} number {}: {}", self.call, self.when, self.effect)
    }
}

/// The errors that a call fails with: one that passes, where there is one, and one that does not.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "accept4" => &["EMFILE", "ECONNABORTED"],
        "bind" | "listen" => &["EADDRINUSE"],
        "clone" | "clone3" | "fork" | "vfork" => &["EAGAIN"],
        "connect" => &["EADDRNOTAVAIL"],
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "poll" | "ppoll" => &["EINTR", "EINVAL"],
        "io_uring_enter" => &["EINTR", "EAGAIN", "EBUSY", "EPERM"],
        "openat" | "open" | "socket" | "epoll_create1" | "eventfd2" | "pipe2" | "signalfd4"
        | "pidfd_open" | "timerfd_create" => &["EMFILE"],
        "read" | "write" | "readv" | "writev" => &["EIO", "EINTR"],
        "recvfrom" | "recvmsg" | "sendto" | "sendmsg" => &["ENOBUFS", "EINTR"],
        _ => &["EPERM", "ENOMEM"],
    }
}

/// How often the busiest thread of a program makes each call, out of what `strace -f -o` wrote.
pub(crate) fn census(trace: &str) -> BTreeMap<String, u32> {
    let mut of_threads: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            *of_threads.entry((thread, call)).or_default() += 1;
        }
    }
    let mut busiest = BTreeMap::new();
    for ((_, call), count) in of_threads {
        let most: &mut u32 = busiest.entry(call.to_owned()).or_default();
        *most = count.max(*most);
    }
    busiest
}

/// The failures to try on a program that makes these calls: the first of a kind and the last, and with
/// `TCPECHO_TEST_INJECT=all` some between them; each error of a call in turn.
pub(crate) fn injections(census: &BTreeMap<String, u32>) -> Vec<Injection> {
    let all = std::env::var(EXTENT).is_ok_and(|extent| extent == "all");
    let mut injections = Vec::new();
    for (call, count) in census.iter().filter(|(call, _)| !NOT_OURS.contains(&call.as_str())) {
        let between = if all { (2..=6).chain([count / 2, count - 1]).collect() } else { vec![] };
        let mut numbers: Vec<u32> = [1, *count].into_iter().chain(between).collect();
        numbers.retain(|number| (1..=*count).contains(number));
        numbers.sort_unstable();
        numbers.dedup();
        let errors = errors(call);
        for (turn, when) in numbers.into_iter().enumerate() {
            let chosen = if all { errors } else { &errors[turn % errors.len()..][..1] };
            injections.extend(chosen.iter().map(|error| Injection::error(call, error, when)));
        }
    }
    injections
}

/// A program that runs under strace(1), with its words. Ended, with all its descendants, when it is dropped.
pub(crate) struct Injected {
    child: Child,
    mark: String,
    trace: PathBuf,
    /// Lines of stdout and of stderr, as they come.
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Of stdout and stderr.
    pub(crate) lines: Vec<String>,
    /// What strace(1) wrote: the injected call, and all calls where none was injected.
    pub(crate) trace: String,
}

impl Injected {
    /// Starts `program` with `args`, to fail as `injection` says; without one all its calls are written down.
    pub(crate) fn start(program: &str, args: &[&str], injection: Option<&Injection>) -> Self {
        Self::spawn(program, args, injection, Stdio::null())
    }

    /// The same with an open file as its stdin.
    pub(crate) fn spawn(
        program: &str,
        args: &[&str],
        injection: Option<&Injection>,
        stdin: Stdio,
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let trace = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("inject-{mark}"));
        let mut command = Command::new("strace");
        // The tracer is not the parent: the program is still ours to signal and reap.
        command.args(["-D", "-f", "-q", "--seccomp-bpf", "-o"]).arg(&trace);
        if let Some(Injection { call, effect, when }) = injection {
            command.args(["-e", &format!("trace={call}")]);
            command.args(["-e", &format!("inject={call}:{effect}:when={when}")]);
        }
        command.arg(program).args(args).env(MARK, &mark);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let readers = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&lines)),
            collect(child.stderr.take().unwrap(), Arc::clone(&lines)),
        ];
        Injected { child, mark, trace, lines, readers }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has said so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The first line with `text`, as soon as it comes; nothing if the program ends without it.
    pub(crate) fn says(&mut self, text: &str) -> Option<String> {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap().is_some();
            if ended {
                self.readers.drain(..).for_each(|reader| reader.join().unwrap());
            }
            if let Some(line) = self.lines().into_iter().find(|line| line.contains(text)) {
                return Some(line);
            }
            if ended || start.elapsed() > PATIENCE {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn gets(&self, signal: Signal) {
        // It may have ended meanwhile.
        let _ = kill_process(self.pid(), signal);
    }

    /// Waits until SIGSTOP has stopped all its threads.
    pub(crate) fn is_stopped(&self) {
        let start = Instant::now();
        let stopped = |task: &PathBuf| {
            let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            matches!(state, Some('T' | 't'))
        };
        while !entries(&format!("/proc/{}/task", self.pid())).iter().all(stopped) {
            assert!(start.elapsed() < PATIENCE, "SIGSTOP does not stop it");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether it and its descendants come to rest: for a fifth of a second they hardly use a processor. Whoever spins never
    /// does.
    pub(crate) fn rests(&self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let before = self.processor_time();
            thread::sleep(Duration::from_millis(200));
            if self.processor_time().saturating_sub(before) < Duration::from_millis(10) {
                return true;
            }
        }
        false
    }

    /// Of all its threads and descendants that live, but not of strace(1).
    fn processor_time(&self) -> Duration {
        let threads =
            self.family().into_iter().flat_map(|pid| entries(&format!("/proc/{pid}/task")));
        let nanoseconds = threads.filter_map(|thread| {
            let stat = fs::read_to_string(thread.join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Its processes that live, by the mark in their environment.
    fn family(&self) -> Vec<i32> {
        let mark = format!("{MARK}={}", self.mark);
        let pids = entries("/proc")
            .into_iter()
            .filter_map(|entry| entry.file_name()?.to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
                && comm.trim() != "strace"
        })
        .collect()
    }

    /// Waits for its end, and then for that of its descendants.
    ///
    /// # Errors
    /// What is wrong: it does not end, or a process is left.
    pub(crate) fn ends(mut self) -> Result<Ended, String> {
        let status = self
            .waits_for_its_end()
            .ok_or_else(|| format!("it does not end; it said {:#?}", self.lines()))?;
        let start = Instant::now();
        while !self.family().is_empty() {
            if start.elapsed() > Duration::from_secs(10) {
                return Err(format!("it left processes behind: {:?}", self.family()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        let trace = fs::read_to_string(&self.trace).unwrap_or_default();
        Ok(Ended { status, lines: self.lines(), trace })
    }

    fn waits_for_its_end(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        for pid in self.family().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.trace);
    }
}

impl Ended {
    /// Whether the failure was brought about at all.
    pub(crate) fn was_injected(&self) -> bool {
        self.trace.contains("(INJECTED)")
    }

    /// A panic, an abort or another signal.
    pub(crate) fn crashed(&self) -> bool {
        self.status.signal().is_some() || self.status.code() == Some(101)
    }
}

fn collect(from: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Tries all of these, a few at a time, and fails with everything that is wrong.
pub(crate) fn try_all<T: fmt::Display + Sync>(
    trials: &[T],
    trial: impl Fn(&T) -> Result<(), String> + Sync,
) {
    const AT_A_TIME: usize = 6;
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(one) = trials.get(next.fetch_add(1, Relaxed)) {
                    if let Err(why) = trial(one) {
                        wrong.lock().unwrap().push(format!("{one}: {why}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(!trials.is_empty(), "nothing was tried");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), trials.len(), wrong.join("\n"));
}
