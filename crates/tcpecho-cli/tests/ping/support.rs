//! A prober that runs as a user runs it, and servers that answer as they are told to.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::common::{peers::until, program};

/// No test takes half of this; a prober that is still there is killed, and its test fails.
const FAR_TOO_LONG: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Lines {
    fn take_in(&self, from: impl Read) {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            self.lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            self.grown.notify_all();
        }
    }

    fn wait_for(&self, text: &str) -> String {
        let start = Instant::now();
        let mut lines = self.lines.lock().unwrap();
        loop {
            if let Some(found) = lines.iter().find(|line| line.contains(text)) {
                return found.clone();
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "no {text:?} in {lines:#?}");
            lines = self.grown.wait_timeout(lines, left).unwrap().0;
        }
    }
}

/// `tcpecho ping`, running.
pub(crate) struct Pinging {
    child: Child,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
    _alive: mpsc::Sender<()>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
    pub(crate) took: Duration,
}

/// `tcpecho ping ARGS` to its end.
pub(crate) fn ping(args: &[&str]) -> Ended {
    Pinging::start(args).ends()
}

/// The same, of one address.
pub(crate) fn ping_to(addr: SocketAddr, args: &[&str]) -> Ended {
    ping(&[args, &[&addr.to_string()]].concat())
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg("ping").args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `tcpecho ping ARGS` where these lines are /etc/hosts.
pub(crate) struct Hosts(PathBuf);

impl Hosts {
    /// SKIP where there is no mount namespace to be had.
    pub(crate) fn new(lines: &str) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tcpecho-ping-{}-{number}", std::process::id());
        let hosts = Hosts(std::env::temp_dir().join(name));
        hosts.are(lines);
        let output = hosts.run("getent", &["hosts", "localhost"]).output();
        match output {
            Ok(output) if output.status.code() != Some(77) => Some(hosts),
            why => {
                eprintln!("SKIP no mount namespace with an /etc/hosts of its own: {why:?}");
                None
            }
        }
    }

    /// From now on.
    pub(crate) fn are(&self, lines: &str) {
        std::fs::write(&self.0, lines).unwrap();
    }

    fn run(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        let script = "mount --bind \"$1\" /etc/hosts || exit 77; shift; exec \"$@\"";
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&self.0);
        command.arg(program).args(args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn ping(&self, args: &[&str]) -> Pinging {
        Pinging::run(self.run(program(), &[&["ping"], args].concat()))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Pinging {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::run(command(args))
    }

    /// Runs a command that becomes `tcpecho ping`.
    pub(crate) fn run(command: Command) -> Self {
        let (mut pinging, stdout) = Self::run_unread(command);
        let (lines, from) = (Arc::clone(&pinging.stdout), stdout);
        pinging.readers.push(thread::spawn(move || lines.take_in(from)));
        pinging
    }

    /// The same, of one address.
    pub(crate) fn of(addr: SocketAddr, args: &[&str]) -> Self {
        Self::start(&[args, &[&addr.to_string()]].concat())
    }

    /// Its standard output is the test's business.
    pub(crate) fn start_unread(args: &[&str]) -> (Self, ChildStdout) {
        Self::run_unread(command(args))
    }

    fn run_unread(mut command: Command) -> (Self, ChildStdout) {
        let mut child = command.spawn().unwrap();
        let (alive, gone) = mpsc::channel::<()>();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        thread::spawn(move || {
            if gone.recv_timeout(FAR_TOO_LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = pidfd_send_signal(pidfd, Signal::KILL);
            }
        });
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let errors = Arc::new(Lines::default());
        let lines = Arc::clone(&errors);
        let readers = vec![thread::spawn(move || lines.take_in(stderr))];
        let pinging =
            Pinging { child, stdout: Arc::default(), stderr: errors, readers, _alive: alive };
        (pinging, stdout)
    }

    /// Waits for a line of standard output with this in it.
    pub(crate) fn sees(&self, text: &str) -> String {
        self.stdout.wait_for(text)
    }

    /// The same of standard error.
    pub(crate) fn says(&self, text: &str) -> String {
        self.stderr.wait_for(text)
    }

    /// The newest line of standard error with this in it, once there is one.
    pub(crate) fn says_last(&self, text: &str) -> String {
        self.says(text);
        let lines = self.stderr.lines.lock().unwrap();
        lines.iter().rfind(|line| line.contains(text)).unwrap().clone()
    }

    /// Waits until signals do not simply end it any more.
    pub(crate) fn catches_signals(&self) {
        let status = format!("/proc/{}/status", self.child.id());
        until(|| {
            let text = std::fs::read_to_string(&status).unwrap();
            let mask = text.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
            let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
            mask >> (Signal::INT.as_raw() - 1) & 1 == 1
        });
    }

    pub(crate) fn gets(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it stands still: stopped by a signal, also under a tracer.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.starts_with(['T', 't'])
    }

    pub(crate) fn ends(mut self) -> Ended {
        let start = Instant::now();
        let status = self.child.wait().unwrap().code();
        let took = start.elapsed();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let lines = |lines: &Lines| lines.lines.lock().unwrap().clone();
        Ended { status, stdout: lines(&self.stdout), stderr: lines(&self.stderr), took }
    }
}

impl Drop for Pinging {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Exits with this.
    pub(crate) fn with(&self, status: i32) -> &Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// A line of standard output has this in it.
    pub(crate) fn shows(&self, text: &str) -> &Self {
        assert!(self.stdout.iter().any(|line| line.contains(text)), "no {text:?} in {self:#?}");
        self
    }

    /// No line of standard output has.
    pub(crate) fn hides(&self, text: &str) -> &Self {
        assert!(!self.stdout.iter().any(|line| line.contains(text)), "{text:?} in {self:#?}");
        self
    }

    /// A line of standard error has this in it.
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.iter().any(|line| line.contains(text)), "no {text:?} in {self:#?}");
        self
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        self.stdout.iter().filter(|line| line.contains(text)).count()
    }

    /// The only line, as an object.
    pub(crate) fn object(&self) -> serde_json::Value {
        assert_eq!(self.stdout.len(), 1, "{self:#?}");
        serde_json::from_str(&self.stdout[0]).unwrap()
    }

    /// Every line as an object.
    pub(crate) fn objects(&self) -> Vec<serde_json::Value> {
        self.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A server that deals with its connections one after the other, for as long as the test lasts.
pub(crate) fn server(mut serve: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    addr
}

/// One that answers each probe, of 64 bytes and counted from 1 in each connection, as it is told. Without an answer it
/// closes.
pub(crate) fn answering(
    mut answer: impl FnMut(usize, &[u8]) -> Option<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    server(move |mut stream| {
        let mut probe = [0; 64];
        for number in 1.. {
            if stream.read_exact(&mut probe).is_err() {
                return;
            }
            let Some(bytes) = answer(number, &probe) else { break };
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
        // FIN, and no RST behind it: what still comes is read.
        let _ = stream.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    })
}
