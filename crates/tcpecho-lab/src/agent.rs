//! The agent: a program inside a host that makes one system call for each command line and writes
//! one line with the result.
//!
//! ```text
//! socket 4              ok 0 fd=3          the socket's number here, and its descriptor
//! connect 192.0.2.1 7   ok  |  ECONNREFUSED
//! send hello            ok 5
//! send 100000 bytes     ok 100000          the alphabet, over and over
//! recv 100              ok 5 hello         ok 0 is the end of the stream; bytes are escaped as in Rust
//! 1: close              ok                 a number before a colon: this socket instead of the newest
//! ```
//!
//! | line | call |
//! |---|---|
//! | `socket 4\|6` | socket(2) |
//! | `bind ADDRESS PORT`, `connect ADDRESS PORT`, `listen BACKLOG` | |
//! | `accept` | `ok NUMBER fd=FD peer=ADDRESS`, as accept(2) gives it; the new socket becomes the newest |
//! | `accept or exit` | on an error it writes it and exits with status 1, as the book's servers do |
//! | `accept again` | accept(2), again after ECONNABORTED and EINTR |
//! | `limit descriptors N` | setrlimit(2): allows N descriptors more than are open |
//! | `send TEXT`, `send N bytes`, `recv N`, `peek N` | the text is sent without a newline |
//! | `line TEXT`, `send N lines` | the same with a newline; N bytes of a pattern in lines of 64 |
//! | `echo N\|end`, `echo N in M` | echoes N bytes, or until the peer's FIN, in pieces of M; `ok N` |
//! | `stuff N` | sends at most N bytes of the pattern without reading, until the peer has taken nothing for half a second; `ok N` |
//! | `drain N\|end` | reads N bytes, or until end of file, and compares them with the pattern; `ok N right\|changed` |
//! | `shutdown rd\|wr\|rdwr`, `close` | |
//! | `gets` | fgets(3) with a buffer of its own: reads until it has a whole line, and keeps what comes after it; `ok N LINE`, `ok 0` at end of file |
//! | `urgent TEXT`, `recv urgent`, `atmark` | send(2) and recv(2) with MSG_OOB; sockatmark(3), `ok 0\|1` |
//! | `own` | fcntl(2), F_SETOWN: urgent data raises SIGURG |
//! | `nonblocking on\|off` | fcntl(2) |
//! | `poll MS` | waits for POLLIN, POLLOUT, POLLPRI or POLLRDHUP; `ok 0x5`, `ok 0x0` after MS milliseconds |
//! | `poll MS in` | the same without POLLOUT, which a writable socket has at once |
//! | `getsockopt error`, `getsockname`, `getpeername` | |
//! | `getsockopt info` | TCP_INFO: `ok STATE cwnd=10 ssthresh=… mss=1448 rtt=200us rto=… unacked=0 retransmits=0 probes=0` |
//! | `setsockopt NAME VALUE…` | see `agent/options.rs` |
//! | `sigpipe default\|ignore`, `handler SIGNAL restart\|norestart\|default\|ignore`, `caught` | |
//! | `disposition SIGNAL` | `ok SIG_DFL`, `ok SIG_IGN`, `ok handler` |
//! | `handler SIGCHLD wait\|waitpid-loop` | a handler that calls wait(2) once, or waitpid(2) until no child is left |
//! | `fork` | a child echoes on this socket until end of file and exits; the parent closes the socket; `ok PID` |
//! | `fork keep` | the same; the parent keeps the socket open |
//! | `inherit` | fcntl(2): exec(2) leaves this socket open; every other one is closed |
//! | `exec` | answers, and executes the agent's program again; its sockets have no numbers there |
//! | `adopt FD` | gives the open socket FD a number; `ok NUMBER fd=FD` |
//! | `wait` | waitpid(-1, WNOHANG); `ok PID`, `ok 0` if all children still run |
//! | `exit STATUS` | |
//!
//! An unknown command is answered with `? ` and the command. At the end of its input the agent
//! exits.

use std::io::{BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, acceptfrom_with, bind,
    connect, listen, recv, send, shutdown, socket_with,
};
use tcpecho_os::errno;
use tcpecho_os::tcp_info::TcpInfo;

mod children;
mod echo;
mod options;
mod signals;
mod words;
pub use words::Conversation;
pub(crate) use words::{errno_of, poll_names};

/// The bytes after which `gets` returns a line that has no end.
const LONGEST_LINE: usize = 1 << 16;

/// The result of a command: the text after `ok`, an errno, or an unknown command.
type Answer = Result<String, Refusal>;

enum Refusal {
    Errno(Errno),
    /// The text is written, and then the agent exits.
    Fatal(Errno),
    Unknown,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal::Errno(errno)
    }
}

/// Executes commands until the input ends; returns the exit status.
///
/// # Errors
/// Those of reading commands and writing results.
pub fn main_loop(input: impl BufRead, mut output: impl Write) -> std::io::Result<u8> {
    let mut agent = Agent::default();
    for line in input.lines() {
        let line = line?;
        if let Some(status) = line.strip_prefix("exit ") {
            return Ok(status.trim().parse().unwrap_or(2));
        }
        if line == "exec" {
            writeln!(output, "ok")?;
            output.flush()?;
            return Err(again());
        }
        let answer = agent.obey(&line);
        let is_last = matches!(answer, Err(Refusal::Fatal(_)));
        match answer {
            Ok(said) if said.is_empty() => writeln!(output, "ok")?,
            Ok(said) => writeln!(output, "ok {said}")?,
            Err(Refusal::Errno(errno) | Refusal::Fatal(errno)) => match errno::name(errno) {
                Some(name) => writeln!(output, "{name}")?,
                None => writeln!(output, "errno {}", errno.raw_os_error())?,
            },
            Err(Refusal::Unknown) => writeln!(output, "? {line}")?,
        }
        output.flush()?;
        if is_last {
            return Ok(1);
        }
    }
    Ok(0)
}

/// Executes this program with the same arguments; returns only if that failed.
fn again() -> std::io::Error {
    std::process::Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).exec()
}

#[derive(Default)]
struct Agent {
    sockets: Vec<Option<OwnedFd>>,
    /// What `gets` has read of each socket and not returned.
    unreturned: Vec<(usize, Vec<u8>)>,
}

impl Agent {
    fn obey(&mut self, line: &str) -> Answer {
        let newest = self.sockets.len().saturating_sub(1);
        let (number, line) = match line.split_once(": ") {
            Some((number, rest)) if number.parse::<usize>().is_ok() => {
                (number.parse().unwrap_or(newest), rest)
            }
            _ => (newest, line),
        };
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match (verb, words.as_slice()) {
            ("socket", [family]) => self.socket(family),
            ("accept", []) => self.accept(number),
            ("accept", ["or", "exit"]) => self.accept(number).map_err(|refusal| match refusal {
                Refusal::Errno(errno) => Refusal::Fatal(errno),
                other => other,
            }),
            ("accept", ["again"]) => loop {
                match self.accept(number) {
                    Err(Refusal::Errno(Errno::CONNABORTED | Errno::INTR)) => {}
                    accepted => return accepted,
                }
            },
            ("limit", ["descriptors", more]) => options::limit_descriptors(self::number(more)?),
            ("close", []) => {
                self.socket_of(number)?;
                self.sockets[number] = None;
                Ok(String::new())
            }
            ("fork", []) => {
                self.socket_of(number)?;
                children::fork(self.sockets[number].take().ok_or(Errno::BADF)?)
            }
            ("fork", ["keep"]) => {
                children::fork(rustix::io::fcntl_dupfd_cloexec(self.socket_of(number)?, 0)?)
            }
            ("gets", []) => self.gets(number),
            ("adopt", [fd]) => self.adopt(self::number(fd)?),
            ("disposition", [signal]) => signals::disposition(signal),
            ("wait", []) => children::wait_for_any(),
            ("sigpipe", [what]) => signals::handle("SIGPIPE", what),
            ("handler", [signal, what]) => signals::handle(signal, what),
            ("caught", []) => Ok(tcpecho_os::signal::caught().to_string()),
            _ => on_socket(self.socket_of(number)?, verb, rest, &words),
        }
    }

    fn socket_of(&self, number: usize) -> Result<&OwnedFd, Errno> {
        self.sockets.get(number).and_then(Option::as_ref).ok_or(Errno::BADF)
    }

    fn socket(&mut self, family: &str) -> Answer {
        let family = match family {
            "4" => AddressFamily::INET,
            "6" => AddressFamily::INET6,
            _ => return Err(Refusal::Unknown),
        };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok(self.keep(socket))
    }

    fn accept(&mut self, number: usize) -> Answer {
        let (socket, peer) = acceptfrom_with(self.socket_of(number)?, SocketFlags::CLOEXEC)?;
        let peer = SocketAddr::try_from(peer.ok_or(Errno::NOTCONN)?)?;
        Ok(format!("{} peer={peer}", self.keep(socket)))
    }

    fn gets(&mut self, number: usize) -> Answer {
        let mut line = match self.unreturned.iter().position(|(socket, _)| *socket == number) {
            Some(place) => self.unreturned.swap_remove(place).1,
            None => Vec::new(),
        };
        let end = loop {
            if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                break end + 1;
            }
            let mut piece = [0; 4096];
            let socket = self.socket_of(number)?;
            let length = match recv(socket, &mut piece, RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(errno) => {
                    self.unreturned.push((number, line));
                    return Err(errno.into());
                }
            };
            line.extend(&piece[..length]);
            if length == 0 || line.len() > LONGEST_LINE {
                break line.len();
            }
        };
        let rest = line.split_off(end);
        if !rest.is_empty() {
            self.unreturned.push((number, rest));
        }
        Ok(shown_bytes(&line))
    }

    /// A copy of a descriptor that the program before exec(2) has left open.
    fn adopt(&mut self, fd: i32) -> Answer {
        use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
        let own = pidfd_open(getpid(), PidfdFlags::empty())?;
        let socket = pidfd_getfd(own, fd, PidfdGetfdFlags::empty())?;
        Ok(self.keep(socket))
    }

    fn keep(&mut self, socket: OwnedFd) -> String {
        let text = format!("{} fd={}", self.sockets.len(), socket.as_raw_fd());
        self.sockets.push(Some(socket));
        text
    }
}

fn on_socket(socket: &OwnedFd, verb: &str, rest: &str, words: &[&str]) -> Answer {
    match (verb, words) {
        ("bind", [ip, port]) => call(bind(socket, &address(ip, port)?)),
        ("connect", [ip, port]) => call(connect(socket, &address(ip, port)?)),
        ("listen", [backlog]) => call(listen(socket, number(backlog)?)),
        ("send", [count, "bytes"]) => sent(socket, &alphabet(number(count)?)),
        ("send", [count, "lines"]) => sent(socket, &echo::lines(number(count)?)),
        ("send", _) => sent(socket, rest.as_bytes()),
        ("line", _) => sent(socket, format!("{rest}\n").as_bytes()),
        ("echo", ["end"]) => echo::echo(socket, usize::MAX, usize::MAX),
        ("echo", [count]) => echo::echo(socket, number(count)?, usize::MAX),
        ("echo", [count, "in", piece]) => echo::echo(socket, number(count)?, number(piece)?),
        ("stuff", [count]) => echo::stuff(socket, number(count)?),
        ("drain", ["end"]) => echo::drain(socket, usize::MAX),
        ("drain", [count]) => echo::drain(socket, number(count)?),
        ("urgent", _) => Ok(send(socket, rest.as_bytes(), SendFlags::OOB)?.to_string()),
        ("recv", ["urgent"]) => received(socket, 1, RecvFlags::OOB),
        ("atmark", []) => Ok(u8::from(tcpecho_os::socket::is_at_mark(socket)?).to_string()),
        ("own", []) => call(tcpecho_os::socket::own(socket)),
        ("inherit", []) => call(rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty())),
        ("recv", [size]) => received(socket, number(size)?, RecvFlags::empty()),
        ("peek", [size]) => received(socket, number(size)?, RecvFlags::PEEK),
        ("shutdown", ["rd"]) => call(shutdown(socket, Shutdown::Read)),
        ("shutdown", ["wr"]) => call(shutdown(socket, Shutdown::Write)),
        ("shutdown", ["rdwr"]) => call(shutdown(socket, Shutdown::Both)),
        ("nonblocking", ["on"]) => call(rustix::io::ioctl_fionbio(socket, true)),
        ("nonblocking", ["off"]) => call(rustix::io::ioctl_fionbio(socket, false)),
        ("poll", [milliseconds]) => polled(socket, number(milliseconds)?, PollFlags::OUT),
        ("poll", [milliseconds, "in"]) => polled(socket, number(milliseconds)?, PollFlags::empty()),
        ("getsockname", []) => shown(rustix::net::getsockname(socket)?.try_into()),
        ("getpeername", []) => shown(peer_of(socket)),
        ("getsockopt", ["error"]) => match rustix::net::sockopt::socket_error(socket)? {
            Ok(()) => Ok("0".into()),
            Err(errno) => Ok(name_of(errno)),
        },
        ("getsockopt", ["info"]) => Ok(info(&tcpecho_os::tcp_info::tcp_info(socket)?)),
        ("setsockopt", [name, values @ ..]) => options::set(socket, name, values),
        _ => Err(Refusal::Unknown),
    }
}

fn call(result: Result<(), Errno>) -> Answer {
    result?;
    Ok(String::new())
}

fn name_of(errno: Errno) -> String {
    errno::name(errno).map_or_else(|| errno.raw_os_error().to_string(), Into::into)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::Unknown)
}

fn address(ip: &str, port: &str) -> Result<SocketAddr, Refusal> {
    Ok(SocketAddr::new(number::<IpAddr>(ip)?, number(port)?))
}

fn shown(address: Result<SocketAddr, Errno>) -> Answer {
    Ok(address?.to_string())
}

/// A connection that was reset before accept(2) has no peer any more.
fn peer_of(socket: &OwnedFd) -> Result<SocketAddr, Errno> {
    rustix::net::getpeername(socket)?.ok_or(Errno::NOTCONN)?.try_into()
}

fn alphabet(count: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(count).collect()
}

/// Behaves like write(2): a broken pipe raises SIGPIPE, unless that is ignored.
fn sent(socket: &OwnedFd, bytes: &[u8]) -> Answer {
    Ok(send(socket, bytes, SendFlags::empty())?.to_string())
}

fn received(socket: &OwnedFd, size: usize, flags: RecvFlags) -> Answer {
    let mut buffer = vec![0; size.min(1 << 24)];
    let (length, _) = recv(socket, &mut buffer[..], flags)?;
    Ok(shown_bytes(&buffer[..length]))
}

/// Their number and, escaped, the bytes themselves.
fn shown_bytes(bytes: &[u8]) -> String {
    format!("{} {}", bytes.len(), bytes.escape_ascii()).trim_end().into()
}

fn info(info: &TcpInfo) -> String {
    let TcpInfo { state, snd_cwnd, snd_ssthresh, snd_mss, rtt_us, rto_us, .. } = info;
    let TcpInfo { unacked, retransmits, probes, .. } = info;
    format!(
        "{state} cwnd={snd_cwnd} ssthresh={snd_ssthresh} mss={snd_mss} rtt={rtt_us}us rto={rto_us}us unacked={unacked} \
         retransmits={retransmits} probes={probes}"
    )
}

fn polled(socket: &OwnedFd, milliseconds: i64, more: PollFlags) -> Answer {
    let asked = PollFlags::IN | PollFlags::PRI | PollFlags::RDHUP | more;
    let mut wanted = [PollFd::new(socket, asked)];
    poll(&mut wanted, Some(&timespec(milliseconds)))?;
    Ok(format!("{:#x}", wanted[0].revents().bits()))
}

fn timespec(milliseconds: i64) -> Timespec {
    Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_seconds_and_nanoseconds() {
        for (milliseconds, seconds, nanoseconds) in
            [(0, 0, 0), (999, 0, 999_000_000), (1000, 1, 0), (61_500, 61, 500_000_000)]
        {
            let limit = timespec(milliseconds);
            assert_eq!((limit.tv_sec, limit.tv_nsec), (seconds, nanoseconds), "{milliseconds}");
        }
    }
}
