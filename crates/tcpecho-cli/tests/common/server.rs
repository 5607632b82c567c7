//! The server as a subprocess that is ready when it is made, and gone when it is dropped.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};
use tcpecho_os::{sock_diag::tcp_sockets, tcp_state::TcpState};

use super::{connect, process::sockets_of};

/// No test takes half of this; a server that is still there is killed, and its test fails.
const FAR_TOO_LONG: Duration = Duration::from_secs(300);
const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn program() -> &'static str {
    super::peers::signals_as_usual();
    env!("CARGO_BIN_EXE_tcpecho")
}

/// What it wrote to standard error, as far as it has come.
#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<(Instant, String)>>,
    grown: Condvar,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, String)>> {
        self.lines.lock().unwrap()
    }

    fn take_in(&self, from: impl Read) {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            self.lock().push((Instant::now(), String::from_utf8_lossy(&line).into_owned()));
            self.grown.notify_all();
        }
    }
}

pub(crate) struct Serving {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Arc<Lines>,
    reader: Option<JoinHandle<()>>,
    /// The ready lines.
    pub(crate) ready: Vec<String>,
    _alive: mpsc::Sender<()>,
}

/// How a server ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) log: Vec<String>,
    /// From the last moment that somebody looked to its end.
    pub(crate) took: Duration,
}

impl Ended {
    /// Exits with this.
    pub(crate) fn with(&self, status: i32) -> &Self {
        assert_eq!(self.status, Some(status), "{:#?}", self.log);
        self
    }

    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.log.iter().any(|line| line.contains(text)), "no {text:?} in {:#?}", self.log);
        self
    }

    pub(crate) fn within(&self, limit: Duration) -> &Self {
        assert!(self.took < limit, "its end took {:?}; {:#?}", self.took, self.log);
        self
    }
}

impl Serving {
    /// `tcpecho serve -l AT --engine ENGINE MORE`
    pub(crate) fn start(engine: &str, at: SocketAddr, more: &[&str]) -> Self {
        let at = at.to_string();
        Self::with(&[&["-l", &at, "--engine", engine], more].concat())
    }

    /// `tcpecho serve ARGS`
    pub(crate) fn with(args: &[&str]) -> Self {
        Self::run(Command::new(program()).arg("serve").args(args))
    }

    /// Whatever command ends up as the server; ready when it has said so.
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut serving = Self::run_deaf(command.stdout(Stdio::piped()));
        serving.next_line();
        serving
    }

    /// The same for one whose standard output is the test's business: ready when a socket of its own listens.
    pub(crate) fn run_unheard(command: &mut Command) -> (Self, SocketAddr) {
        let serving = Self::run_deaf(command);
        let addr = serving.listens();
        (serving, addr)
    }

    fn run_deaf(command: &mut Command) -> Self {
        Self::run_with(command.stderr(Stdio::piped()))
    }

    /// The same with standard error left to the test too.
    pub(crate) fn run_with(command: &mut Command) -> Self {
        super::peers::signals_as_usual();
        Self::of(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// `tcpecho serve ARGS` with this standard input.
    pub(crate) fn reading(stdin: impl Into<Stdio>, args: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.arg("serve").args(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut serving = Self::of(command.spawn().unwrap());
        serving.next_line();
        serving
    }

    fn of(mut child: Child) -> Self {
        let (alive, gone) = mpsc::channel::<()>();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        thread::spawn(move || {
            if gone.recv_timeout(FAR_TOO_LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = pidfd_send_signal(pidfd, Signal::KILL);
            }
        });
        let stderr = Arc::new(Lines::default());
        let reader = child.stderr.take().map(|from| {
            let lines = Arc::clone(&stderr);
            thread::spawn(move || lines.take_in(from))
        });
        let stdout = child.stdout.take().map(BufReader::new);
        Serving { child, stdout, stderr, reader, ready: Vec::new(), _alive: alive }
    }

    /// Reads one more ready line.
    pub(crate) fn next_line(&mut self) -> &str {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        // A server that refuses connections does not listen.
        let ready = line.starts_with("listening on ") || line.starts_with("bound to ");
        assert!(ready, "{line:?} {:#?}", self.log());
        self.ready.push(line);
        &self.ready[self.ready.len() - 1]
    }

    /// Reads one more line of stdout, whatever it is.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// Whether it says that it is ready. If not, it has ended, or is about to.
    pub(crate) fn is_ready(&mut self) -> bool {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        let ready = line.starts_with("listening on ");
        if ready {
            self.ready.push(line);
        }
        ready
    }

    /// The address in the first ready line.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.ready[0].split(' ').nth(2).unwrap().trim_end_matches(',').parse().unwrap()
    }

    /// The address of the listening socket that it is seen to hold, as soon as it does.
    fn listens(&self) -> SocketAddr {
        let listens = self.listens_within(PATIENCE);
        listens.unwrap_or_else(|| panic!("it does not listen: {:#?}", self.log()))
    }

    pub(crate) fn listens_within(&self, patience: Duration) -> Option<SocketAddr> {
        let start = Instant::now();
        while start.elapsed() < patience {
            let own = sockets_of(self.pid());
            let mut all = tcp_sockets(0).unwrap().into_iter();
            let ours =
                all.find(|socket| socket.state == TcpState::Listen && own.contains(&socket.inode));
            if let Some(listener) = ours {
                return Some(listener.local);
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn connects(&self) -> std::net::TcpStream {
        connect(self.addr())
    }

    pub(crate) fn gets(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Together with its children, as from a terminal or a service manager. It must lead its process group.
    pub(crate) fn group_gets(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).unwrap();
    }

    /// The log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.stderr.lock().iter().map(|(_, line)| line.clone()).collect()
    }

    /// When lines with `text` came.
    pub(crate) fn said(&self, text: &str) -> Vec<Instant> {
        let lines = self.stderr.lock();
        lines.iter().filter(|(_, line)| line.contains(text)).map(|(when, _)| *when).collect()
    }

    /// Waits for `count` lines with `text` and gives the last of them.
    pub(crate) fn says_times(&self, text: &str, count: usize) -> String {
        let start = Instant::now();
        let mut lines = self.stderr.lock();
        loop {
            let found: Vec<&String> =
                lines.iter().map(|(_, line)| line).filter(|line| line.contains(text)).collect();
            if found.len() >= count {
                return found[found.len() - 1].clone();
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "not {count} times {text:?} in {lines:#?}");
            lines = self.stderr.grown.wait_timeout(lines, left).unwrap().0;
        }
    }

    pub(crate) fn says(&self, text: &str) -> String {
        self.says_times(text, 1)
    }

    /// Waits for its end.
    pub(crate) fn ends(self) -> Ended {
        self.ends_since(Instant::now())
    }

    fn ends_since(mut self, start: Instant) -> Ended {
        let status = self.child.wait().unwrap().code();
        let took = start.elapsed();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        Ended { status, log: self.log(), took }
    }

    /// SIGTERM, and then its end, which is timed from before the signal.
    pub(crate) fn stops(self) -> Ended {
        let start = Instant::now();
        self.gets(Signal::TERM);
        self.ends_since(start)
    }

    /// SIGKILL, and then its end.
    pub(crate) fn dies(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that does not come to serve.
pub(crate) fn refused(args: &[&str]) -> Ended {
    refused_command(Command::new(program()).arg("serve").args(args))
}

pub(crate) fn refused_command(command: &mut Command) -> Ended {
    Serving::run_deaf(command.stdout(Stdio::null())).ends()
}

/// `tcpecho serve -l 127.0.0.1:0 --engine ENGINE`, not yet run.
pub(crate) fn bare(engine: &str) -> Command {
    let mut command = Command::new(program());
    command.args(["serve", "-l", "127.0.0.1:0", "--engine", engine]);
    command
}

/// `sh -c 'SETTING; exec tcpecho serve ...'`
pub(crate) fn after(setting: &str, engine: &str, more: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{setting}; exec \"$0\" \"$@\"")).arg(program());
    command.args(["serve", "-l", "127.0.0.1:0", "--engine", engine]).args(more);
    command
}

/// A pipe that is as small as can be and full, so that a writer blocks; it is drained by nobody while the reader lives.
pub(crate) fn full_pipe() -> (std::io::PipeReader, File) {
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    let writer = File::from(std::os::fd::OwnedFd::from(writer));
    std::io::Write::write_all(&mut &writer, &[b'#'; 4096]).unwrap();
    (reader, writer)
}
