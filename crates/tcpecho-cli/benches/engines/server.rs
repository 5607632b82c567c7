//! A server under test: a process of its own, started on its core and ended by SIGTERM.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::time::Timespec;
use tcpecho_load::usage::{self, ProcessorTime};

use crate::machine::Cores;
use crate::peers::Peer;

const READY: Duration = Duration::from_secs(5);
const END: Duration = Duration::from_secs(5);
const WITNESS: Duration = Duration::from_secs(1);

/// Exit statuses with which a program says that it cannot run here.
const NOT_HERE: [i32; 2] = [2, 77];

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    /// How many connections it is meant to serve at once.
    pub(crate) crowd: usize,
    child: Child,
}

/// Why there is no server to measure.
pub(crate) enum Unready {
    Skip(String),
    Fault(String),
}

impl Server {
    pub(crate) fn start(peer: &Peer, cores: &Cores) -> Result<Self, Unready> {
        let child = cores.on_the_servers(|| spawn(peer)).map_err(|error| fault(&error))?;
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Self { addr: unspecified, crowd: peer.crowd, child };
        let line = server.first_line().map_err(|error| fault(&error))?;
        match address(&line) {
            Some(addr) => server.addr = addr,
            None => return Err(server.explain(peer, &line)),
        }
        Ok(server)
    }

    /// The first line, as far as it comes in time. Byte by byte: the pipe stays open after it, since
    /// a server may say more.
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

    fn explain(mut self, peer: &Peer, line: &str) -> Unready {
        // One whose output has ended is about to end: its status is the better witness.
        let ended = pidfd(&self.child).and_then(|process| readable(&process, WITNESS));
        let status = match ended.map_err(|error| error.to_string()).and_then(|_| self.stop()) {
            Ok(status) => status,
            Err(error) => return Unready::Fault(format!("did not start: {error}")),
        };
        let said = fs::read_to_string(peer.stderr()).unwrap_or_default();
        let reason = format!("{status}: {}", said.lines().last().unwrap_or(line));
        let skip = status.code().is_some_and(|code| NOT_HERE.contains(&code));
        let kind = if skip { Unready::Skip } else { Unready::Fault };
        kind(format!("did not start: {reason}"))
    }

    pub(crate) fn processor_time(&self) -> io::Result<ProcessorTime> {
        ProcessorTime::of(self.child.id())
    }

    pub(crate) fn memory(&self, line: &str) -> io::Result<f64> {
        usage::memory(self.child.id(), line)
    }

    /// Ends it. An end of its own, or by anything but SIGTERM or status 0, is a fault.
    pub(crate) fn end(mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(format!("the server ended by itself: {status}"));
        }
        let status = self.stop()?;
        let expected = status.success() || status.signal() == Some(Signal::TERM.as_raw());
        if expected { Ok(()) } else { Err(format!("the server ended badly: {status}")) }
    }

    fn stop(&mut self) -> Result<ExitStatus, String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Ok(status);
        }
        let asked = terminate(&self.child).unwrap_or(false);
        if !asked {
            self.child.kill().map_err(|error| error.to_string())?;
        }
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if asked { Ok(status) } else { Err(format!("the server ignored SIGTERM for {END:?}")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is left to be told here: `end` tells, and this is for the paths that missed it.
        let _ = self.stop();
    }
}

fn fault(error: &io::Error) -> Unready {
    Unready::Fault(format!("did not start: {error}"))
}

fn spawn(peer: &Peer) -> io::Result<Child> {
    let (program, arguments) = peer.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(peer.stderr())?)
        .spawn()
}

fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    Ok(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?)
}

/// Sends SIGTERM and says whether the process ended in time.
fn terminate(child: &Child) -> io::Result<bool> {
    let process = pidfd(child)?;
    kill_process(Pid::from_child(child), Signal::TERM)?;
    readable(&process, END)
}

fn readable(descriptor: &impl AsFd, time: Duration) -> io::Result<bool> {
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
    Ok(poll(&mut watched, Some(&time))? > 0)
}

fn address(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("listening on ")?.split(' ').next()?.parse().ok()
}
