//! A client that runs as a user runs it, and peers to put in front of it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Once, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    net::{self, AddressFamily, SocketType, sockopt},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal},
};

use tcpecho_os::signal::{Disposition, dispose};

/// No test takes a tenth of this; whoever hangs is killed, and its test fails instead of hanging
/// too.
const FAR_TOO_LONG: Duration = Duration::from_secs(180);

/// Whoever runs the tests may ignore signals (nohup(1), a shell without job control), and what is ignored stays so in a program
/// that is started: the tests' programs begin with signals as they usually are.
pub(crate) fn signals_as_usual() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [Signal::INT, Signal::HUP, Signal::QUIT, Signal::TERM, Signal::USR1] {
            dispose(signal.as_raw(), Disposition::Default).unwrap();
        }
    });
}

pub(crate) struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: ChildStderr,
    _alive: mpsc::Sender<()>,
}

/// How a client ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Client {
    /// `tcpecho connect ARGS`
    pub(crate) fn connect(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
        Self::run(command.arg("connect").args(args).stdout(Stdio::piped()))
    }

    /// The same with an address.
    pub(crate) fn to(addr: SocketAddr, args: &[&str]) -> Self {
        let addr = addr.to_string();
        Self::connect(&[&[addr.as_str()], args].concat())
    }

    pub(crate) fn run(command: &mut Command) -> Self {
        signals_as_usual();
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (alive, gone) = mpsc::channel::<()>();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        thread::spawn(move || {
            if gone.recv_timeout(FAR_TOO_LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = pidfd_send_signal(pidfd, Signal::KILL);
            }
        });
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stderr = child.stderr.take().unwrap();
        Client { child, stdin, stdout, stderr, _alive: alive }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn types(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn sees(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        self.stdout.as_mut().unwrap().read_exact(&mut got).unwrap();
        assert!(got == expected, "{} instead of {}", got.escape_ascii(), expected.escape_ascii());
    }

    pub(crate) fn takes_stdin(&mut self) -> ChildStdin {
        self.stdin.take().unwrap()
    }

    pub(crate) fn takes_stdout(&mut self) -> ChildStdout {
        self.stdout.take().unwrap()
    }

    pub(crate) fn gets(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end without giving it one: standard input stays open.
    pub(crate) fn ends(mut self) -> Ended {
        let mut ended = Ended { status: None, stdout: Vec::new(), stderr: String::new() };
        if let Some(mut stdout) = self.stdout.take() {
            stdout.read_to_end(&mut ended.stdout).unwrap();
        }
        self.stderr.read_to_string(&mut ended.stderr).unwrap();
        ended.status = self.child.wait().unwrap().code();
        ended
    }

    /// The end of its input, and then its own.
    pub(crate) fn finishes(mut self) -> Ended {
        drop(self.stdin.take());
        self.ends()
    }
}

impl Ended {
    pub(crate) fn says_nothing(&self) -> &Self {
        assert_eq!(self.stderr, "");
        self
    }

    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "no {text:?} in: {}", self.stderr);
        self
    }

    pub(crate) fn with(&self, status: i32) -> &Self {
        assert_eq!(self.status, Some(status), "{}", self.stderr);
        self
    }

    /// The report that `--json` makes.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        serde_json::from_str(&self.stderr).unwrap()
    }
}

/// The loopback addresses of both families, with a free port, and SKIP where a family is missing.
pub(crate) fn families() -> impl Iterator<Item = SocketAddr> {
    ["127.0.0.1:0", "[::1]:0"].into_iter().filter_map(|text| {
        let addr: SocketAddr = text.parse().unwrap();
        match TcpListener::bind(addr) {
            Ok(_) => Some(addr),
            Err(error) => {
                eprintln!("SKIP {addr}: {error}");
                None
            }
        }
    })
}

/// A peer that serves one connection.
pub(crate) fn peer<T: Send + 'static>(
    at: SocketAddr,
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind(at).unwrap();
    let addr = listener.local_addr().unwrap();
    (addr, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// The plainest echo: while its write blocks it does not read.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 16384];
    // A client that goes away is the client's affair.
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// Reads exactly this.
pub(crate) fn expect(stream: &mut TcpStream, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, expected);
}

/// Closes with RST instead of FIN.
pub(crate) fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// A port where nobody listens, and nobody else will while the socket lives.
pub(crate) fn deserted(at: SocketAddr) -> (OwnedFd, SocketAddr) {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = net::socket(family, SocketType::STREAM, None).unwrap();
    net::bind(&fd, &at).unwrap();
    let addr = net::getsockname(&fd).unwrap().try_into().unwrap();
    (fd, addr)
}

/// A listener whose accept queue, one place long, is taken: it drops further SYNs.
pub(crate) fn full(at: SocketAddr) -> (OwnedFd, SocketAddr, TcpStream) {
    let (fd, addr) = deserted(at);
    net::listen(&fd, 0).unwrap();
    let first = TcpStream::connect(addr).unwrap();
    // connect(2) returns before the listener has seen the final ACK.
    until(|| tcpecho_os::tcp_info::listen_queue(&fd).unwrap().length == 1);
    (fd, addr, first)
}

/// Until it is so. Whoever is watched has [`FAR_TOO_LONG`].
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < FAR_TOO_LONG, "it never became so");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Until whoever writes into this pipe is blocked. A pipe counts pages, not bytes, so there is no number to wait for.
pub(crate) fn until_full(pipe: &ChildStdout) {
    let held = || rustix::io::ioctl_fionread(pipe).unwrap();
    until(|| {
        let before = held();
        thread::sleep(Duration::from_millis(300));
        before > 0 && held() == before
    });
}

/// Bytes whose place can be told.
pub(crate) fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|i| (i ^ i >> 8 ^ i >> 16) as u8).collect()
}
