//! A run of the client: a process group of its own with a message on stdin, bounded output and a deadline.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};
use tcpecho_lab::Exit;
use tcpecho_os::{errno::io_words, process::end_with_parent, text::spaced};

use super::children::Children;

/// Bytes that are kept of each stream. The rest is read and forgotten, so that the client can go on.
const KEPT: usize = 64 << 10;
/// How long the output of a client that has exited is read: a child that it left behind may hold the pipes open.
const AFTER_EXIT: Duration = Duration::from_millis(200);

/// What was seen of a client.
#[derive(Default)]
pub(super) struct Seen {
    /// None if it had to be ended.
    pub(super) exit: Option<Exit>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// How much it wrote to stdout, also what was not kept.
    pub(super) printed: u64,
    pub(super) took: Duration,
    /// Why it could not be started.
    pub(super) unstarted: Option<String>,
    pub(super) is_interrupted: bool,
}

impl Seen {
    /// Runs the command until it exits, until the deadline, or until `stopped` can be read.
    pub(super) fn run(
        words: &[String],
        message: &str,
        deadline: Duration,
        stopped: &OwnedFd,
        children: &Children,
    ) -> Self {
        let begun = Instant::now();
        match Client::start(words, message, children) {
            Ok(mut client) => {
                let is_interrupted = client.watch(begun + deadline, stopped);
                let took = begun.elapsed();
                let exit = client.end().map(exit_of);
                let printed = client.streams[0].total;
                let [stdout, stderr] =
                    client.streams.each_mut().map(|stream| std::mem::take(&mut stream.kept));
                Seen { exit, stdout, stderr, printed, took, unstarted: None, is_interrupted }
            }
            Err(why) => Seen { unstarted: Some(why), ..Seen::default() },
        }
    }

    /// What it says on stderr: its first line, or the last one if the first one ends with a colon, as that of a traceback.
    pub(super) fn said(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.stderr);
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next()?;
        let line = if first.ends_with(':') { lines.next_back().unwrap_or(first) } else { first };
        Some(spaced_line(line))
    }
}

/// A line of the client's for a table.
pub(super) fn spaced_line(line: &str) -> String {
    spaced(line).chars().take(1000).collect()
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Exited(code),
        (None, Some(signal)) => Exit::Killed(signal),
        (None, None) => Exit::Unknown,
    }
}

/// A stream of the client.
struct Stream {
    /// None at its end.
    from: Option<File>,
    kept: Vec<u8>,
    total: u64,
}

impl Stream {
    fn of(from: impl Into<OwnedFd>) -> Self {
        Stream { from: Some(File::from(from.into())), kept: Vec::new(), total: 0 }
    }

    /// Reads once; to be called when it is readable.
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        match self.from.as_mut().map(|from| from.read(&mut buffer)) {
            Some(Ok(count @ 1..)) => {
                self.total += count as u64;
                let room = KEPT.saturating_sub(self.kept.len());
                self.kept.extend(&buffer[..count.min(room)]);
            }
            Some(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ => self.from = None,
        }
    }
}

/// A running client. Dropping it kills it and everything that it has started.
struct Client<'a> {
    child: Child,
    children: &'a Children,
    /// Marks its processes.
    mark: String,
    pidfd: OwnedFd,
    streams: [Stream; 2],
    has_exited: bool,
    is_reaped: bool,
}

impl<'a> Client<'a> {
    fn start(words: &[String], message: &str, children: &'a Children) -> Result<Self, String> {
        let [program, arguments @ ..] = words else { return Err("an empty command".into()) };
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        end_with_parent(&mut command, Signal::KILL);
        let (mut child, mark) = children
            .spawn(&mut command)
            .map_err(|error| format!("start {}: {}", program.escape_debug(), io_words(&error)))?;
        if let Some(mut stdin) = child.stdin.take() {
            // It fits into the pipe. A client that does not read it has closed its stdin.
            let _ = stdin.write_all(message.as_bytes());
        }
        let streams = (child.stdout.take(), child.stderr.take());
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        match (pidfd, streams) {
            (Ok(pidfd), (Some(stdout), Some(stderr))) => {
                let streams = [Stream::of(stdout), Stream::of(stderr)];
                Ok(Client {
                    child,
                    children,
                    mark,
                    pidfd,
                    streams,
                    has_exited: false,
                    is_reaped: false,
                })
            }
            (pidfd, _) => {
                let _ = child.kill();
                children.wait(&mut child);
                let why = pidfd.err().map_or("no pipe".into(), tcpecho_os::errno::words);
                Err(format!("pidfd_open: {why}"))
            }
        }
    }

    /// Reads its output until it has exited, until the deadline, or until `stopped` can be read. Returns whether that was so.
    fn watch(&mut self, deadline: Instant, stopped: &OwnedFd) -> bool {
        let mut until = deadline;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let is_over = self.has_exited && self.streams.iter().all(|one| one.from.is_none());
            if left.is_zero() || is_over {
                return false;
            }
            let mut watched = vec![PollFd::new(stopped, PollFlags::IN)];
            if !self.has_exited {
                watched.push(PollFd::new(&self.pidfd, PollFlags::IN));
            }
            let streams = watched.len();
            let open: Vec<usize> =
                (0..2).filter(|place| self.streams[*place].from.is_some()).collect();
            watched.extend(
                self.streams
                    .iter()
                    .filter_map(|one| one.from.as_ref())
                    .map(|from| PollFd::from_borrowed_fd(from.as_fd(), PollFlags::IN)),
            );
            let timeout = Timespec::try_from(left).ok();
            let ready: Vec<bool> = match poll(&mut watched, timeout.as_ref()) {
                Ok(_) => watched.iter().map(|one| !one.revents().is_empty()).collect(),
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            };
            if ready[0] {
                return true;
            }
            for (place, _) in open.iter().zip(&ready[streams..]).filter(|(_, ready)| **ready) {
                self.streams[*place].read();
            }
            if !self.has_exited && ready[1] {
                self.has_exited = true;
                until = Instant::now() + AFTER_EXIT;
            }
        }
    }

    /// Kills what is left of its group, and what it has started in other groups. Returns how it exited, if it did so by itself.
    fn end(&mut self) -> Option<ExitStatus> {
        // Not reaped yet, so its number is still that of its group.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        self.children.end_leftovers(&self.child, &self.mark);
        self.is_reaped = true;
        self.children.wait(&mut self.child).filter(|_| self.has_exited)
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.end();
        }
    }
}
