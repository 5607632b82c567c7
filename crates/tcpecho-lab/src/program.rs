//! A program in a host: any executable, controlled through its standard streams and signals.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal,
};
use tcpecho_lab_os::host_init::Start;
use tcpecho_os::failed::Failed;
use tcpecho_os::process::Exit;
use tcpecho_os::tcp_info::{TcpInfo, tcp_info};

use crate::ends::{Ends, Limits};
use crate::timeline::{Place, Stream, TimedOut, Timeline, What};
use crate::tracer::{Still, signal_name};

mod asleep;
mod launch;
mod weight;

pub(crate) use asleep::{Child, children as children_of};
pub use launch::Launch;

/// How a program ended, in words: `killed by SIGTERM`.
#[must_use]
pub fn words(exit: Exit) -> String {
    match exit {
        Exit::Exited(status) => format!("exited with {status}"),
        Exit::Killed(signal) => format!("killed by {}", signal_name(signal)),
        Exit::Unknown => "ended".into(),
    }
}

/// A program in a host, running or not. Dropping it kills it; processes that it has forked live
/// until the host is off.
#[derive(Debug)]
pub struct Program {
    process: Arc<Process>,
    place: Place,
    timeline: Timeline,
}

/// What program, attendant and timeline share about one process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: Arc<str>,
    /// In the lab's PID namespace.
    pub(crate) pid: i32,
    pidfd: OwnedFd,
    /// What its tracer knows about stopped threads.
    still: Option<Arc<Still>>,
    input: Mutex<Option<OwnedFd>>,
    said: Mutex<Said>,
    changed: Condvar,
    /// Whether the lab has sent it a signal that may end it.
    asked_to_end: AtomicBool,
}

#[derive(Debug)]
struct Said {
    lines: Ends<(Stream, String)>,
    /// The lines and bytes that were written and not kept.
    left_out: LeftOut,
    /// The number of lines that were consumed.
    heard: usize,
    exit: Option<(Duration, Exit)>,
}

/// The amount of output that was not kept, between the first and the last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// Lines; a very long line counts as several.
    pub lines: usize,
    /// Their bytes, newlines included.
    pub bytes: usize,
}

/// The output that is kept of a program: more of the beginning than any trial compares.
const KEPT: Limits = Limits { first: 4 << 20, last: 64 << 10 };

impl Process {
    pub(crate) fn new(
        name: Arc<str>,
        pidfd: OwnedFd,
        input: OwnedFd,
        still: Option<Arc<Still>>,
    ) -> Self {
        let pid = asleep::pid_of(pidfd.as_fd()).unwrap_or_default();
        let lines = Ends::new(KEPT);
        let said = Said { lines, left_out: LeftOut::default(), heard: 0, exit: None };
        let (input, said) = (Mutex::new(Some(input)), Mutex::new(said));
        Process {
            name,
            pid,
            pidfd,
            still,
            input,
            said,
            changed: Condvar::new(),
            asked_to_end: AtomicBool::new(false),
        }
    }

    pub(crate) fn wrote(&self, stream: Stream, line: String) {
        let mut said = self.said();
        let Said { lines, left_out, .. } = &mut *said;
        let bytes = line.len() + size_of::<(Stream, String)>();
        lines.push((stream, line), bytes, true, |(_, line)| {
            left_out.lines += 1;
            left_out.bytes += line.len() + 1;
        });
        drop(said);
        self.changed.notify_all();
    }

    pub(crate) fn ended(&self, at: Duration, exit: Exit) {
        self.said().exit = Some((at, exit));
        self.changed.notify_all();
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `find` returns something; it is called a last time when the program has exited.
    fn wait<T>(
        &self,
        patience: Duration,
        what: impl FnOnce() -> String,
        mut find: impl FnMut(&mut Said) -> Option<T>,
    ) -> Result<T, TimedOut> {
        let end = Instant::now() + patience;
        let mut said = self.said();
        loop {
            if let Some(found) = find(&mut said) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || said.exit.is_some() {
                let ended = said.exit.map(|(_, exit)| words(exit));
                let what = format!("{}: {}", self.name, what());
                return Err(TimedOut { what, after: patience, ended });
            }
            let woken = self.changed.wait_timeout(said, left);
            said = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Program {
    pub(crate) fn new(process: Arc<Process>, place: Place, timeline: Timeline) -> Self {
        Program { process, place, timeline }
    }

    /// Its name on the timeline.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.process.name
    }

    /// Its process number in the lab's PID namespace (`/proc/PID`).
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid
    }

    /// Types a line on its stdin.
    ///
    /// # Errors
    /// `EPIPE` if it has closed its stdin or exited, `EBADF` if the lab has closed it.
    pub fn say(&self, line: &str) -> Result<(), Errno> {
        let (program, text) = (Arc::clone(&self.process.name), line.to_string());
        self.timeline.record(self.place, What::Input { program, line: text });
        self.write(format!("{line}\n").as_bytes())
    }

    /// Writes bytes to its stdin; blocks while the pipe is full.
    ///
    /// # Errors
    /// As [`Program::say`].
    pub fn write(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        let input = self.process.input.lock().unwrap_or_else(PoisonError::into_inner);
        let input = input.as_ref().ok_or(Errno::BADF)?;
        while !bytes.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(input, bytes))?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Closes its stdin: it reads end of file.
    pub fn close_input(&self) {
        self.process.input.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Returns the next line on either stream that no earlier call has returned or skipped.
    ///
    /// # Errors
    /// [`TimedOut`] after `patience`, or at once if it has exited.
    pub fn next_line(&self, patience: Duration) -> Result<String, TimedOut> {
        self.wait_for_line("a line", patience, |_| true)
    }

    /// Returns the next such line and skips the lines before it. The error calls it `what`.
    ///
    /// # Errors
    /// As [`Program::next_line`].
    pub fn wait_for_line(
        &self,
        what: &str,
        patience: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Result<String, TimedOut> {
        self.process.wait(
            patience,
            || what.into(),
            |said| {
                for (number, (_, line)) in said.lines.since(said.heard) {
                    said.heard = number + 1;
                    if wanted(line) {
                        return Some(line.clone());
                    }
                }
                None
            },
        )
    }

    /// Types a line and waits for the next line of output, as suits an [agent](crate::agent).
    ///
    /// # Errors
    /// As [`Program::next_line`], and if the line cannot be written.
    pub fn ask(&self, line: &str, patience: Duration) -> Result<String, TimedOut> {
        // A program whose stdin is closed has exited or will not answer; the wait tells which.
        let _ = self.say(line);
        self.wait_for_line(&format!("an answer to {line:?}"), patience, |_| true)
    }

    /// All lines so far; of very many, the first and the last ([`Program::left_out`]).
    #[must_use]
    pub fn lines(&self) -> Vec<(Stream, String)> {
        self.process.said().lines.since(0).map(|(_, line)| line.clone()).collect()
    }

    /// The amount of output that was not kept.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        self.process.said().left_out
    }

    /// Its exit, if it has exited.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.process.said().exit.map(|(_, exit)| exit)
    }

    /// Waits until it has exited; returns when, on the timeline, and how.
    ///
    /// # Errors
    /// [`TimedOut`] after `patience`.
    pub fn wait(&self, patience: Duration) -> Result<(Duration, Exit), TimedOut> {
        self.process.wait(patience, || "its exit".into(), |said| said.exit)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH` if it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let step = format!("{} gets {}", self.process.name, signal_name(signal.as_raw()));
        self.timeline.record(self.place, What::Step(step));
        if ![Signal::STOP, Signal::CONT].contains(&signal) {
            self.process.asked_to_end.store(true, Relaxed);
        }
        pidfd_send_signal(&self.process.pidfd, signal)
    }

    /// Whether the lab has sent it a signal other than SIGSTOP and SIGCONT.
    pub(crate) fn was_asked_to_end(&self) -> bool {
        self.process.asked_to_end.load(Relaxed)
    }

    /// Waits until it has exited, sleeps or is stopped, so that what it does about an event is
    /// done; for programs with one thread.
    pub(crate) fn settle(&self, patience: Duration) {
        let _ = self.until(patience, || matches!(self.state(), Some('S' | 'T')));
    }

    /// Kills it (SIGKILL). Returns when it has exited; does nothing if it already has.
    pub fn kill(&self) {
        let _ = self.signal(Signal::KILL);
        let _ = self.wait(Duration::from_secs(10));
    }

    /// Stops it (SIGSTOP) and returns when it is stopped: it makes no system call until
    /// [`Program::go_on`].
    ///
    /// # Errors
    /// `ESRCH` if it has exited, `ETIME` if it does not stop within ten seconds.
    pub fn stop(&self) -> Result<(), Errno> {
        self.signal(Signal::STOP)?;
        self.until(Duration::from_secs(10), || self.state() == Some('T'))
    }

    /// Continues a stopped program (SIGCONT).
    ///
    /// # Errors
    /// `ESRCH` if it has exited, `ETIME` if it is traced and does not continue within ten seconds.
    pub fn go_on(&self) -> Result<(), Errno> {
        self.signal(Signal::CONT)?;
        // A tracer learns of it a moment later; if it is stopped again meanwhile, the tracer may
        // miss the first stop.
        self.until(Duration::from_secs(10), || !self.stands_still())
    }

    /// Polls until it is `done` or the program has exited.
    fn until(&self, patience: Duration, mut done: impl FnMut() -> bool) -> Result<(), Errno> {
        let mut is_done = false;
        let over = crate::glances::until(patience, || {
            is_done = done();
            is_done || self.exit().is_some()
        });
        match (is_done, over) {
            (true, _) => Ok(()),
            (false, true) => Err(Errno::SRCH),
            (false, false) => Err(Errno::TIME),
        }
    }

    /// Whether it sleeps in a system call other than read(2): an [agent](crate::agent) that has
    /// answered sleeps in read.
    pub(crate) fn is_blocked(&self) -> bool {
        asleep::system_call(self.pid()).is_some_and(|call| call != libc::SYS_read)
    }

    /// Whether it is traced and stopped by a signal.
    fn stands_still(&self) -> bool {
        self.process.still.as_ref().is_some_and(|still| still.has(self.pid()))
    }

    /// Waits until it sleeps in the system call with this number (`libc::SYS_accept4`), so that a
    /// signal interrupts exactly this call. For programs with one thread.
    ///
    /// # Errors
    /// `ETIME` after `patience`, `ESRCH` if it has exited.
    pub fn wait_asleep_in(&self, call: i64, patience: Duration) -> Result<(), Errno> {
        self.until(patience, || asleep::system_call(self.pid()) == Some(call))
    }

    /// Waits until it sleeps, in any system call: then it holds no lock of the kernel.
    ///
    /// # Errors
    /// `ETIME` after `patience`, `ESRCH` if it has exited.
    pub fn wait_asleep(&self, patience: Duration) -> Result<(), Errno> {
        self.until(patience, || self.state() == Some('S'))
    }

    /// Its state in `/proc`: `R`, `S`, `T`, `Z` …; `None` when it is gone.
    #[must_use]
    pub fn state(&self) -> Option<char> {
        match asleep::state(self.pid()) {
            Some('t') if self.stands_still() => Some('T'),
            state => state,
        }
    }

    /// Its children, by their process numbers in the lab's PID namespace, and their states; those
    /// that have exited and were not waited for are in `Z`.
    #[must_use]
    pub fn children(&self) -> Vec<(i32, char)> {
        asleep::children(self.pid())
    }

    /// Its children and their descendants, even those that will get another parent. Processes that
    /// exit meanwhile are omitted.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE`: no descriptor is left.
    pub fn descendants(&self) -> Result<Vec<OwnedFd>, Errno> {
        let (mut unseen, mut found) = (vec![self.pid()], Vec::new());
        while let Some(parent) = unseen.pop() {
            for (pid, _) in asleep::children(parent) {
                let Some(number) = Pid::from_raw(pid) else { continue };
                match pidfd_open(number, PidfdFlags::empty()) {
                    Ok(pidfd) => found.push(pidfd),
                    Err(Errno::SRCH) => continue,
                    Err(errno) => return Err(errno),
                }
                unseen.push(pid);
            }
        }
        Ok(found)
    }

    /// The number of its children that are zombies.
    #[must_use]
    pub fn zombies(&self) -> usize {
        self.children().iter().filter(|(_, state)| *state == 'Z').count()
    }

    /// Waits until it has this number of children, all of them zombies.
    ///
    /// # Errors
    /// `ETIME` after `patience`, `ESRCH` if it has exited.
    pub fn wait_for_zombies(&self, count: usize, patience: Duration) -> Result<(), Errno> {
        self.until(patience, || {
            let children = self.children();
            children.len() == count && children.iter().all(|(_, state)| *state == 'Z')
        })
    }

    /// A copy of one of its descriptors (`pidfd_getfd`(2)): the same open file.
    ///
    /// # Errors
    /// `EBADF` if it has no such descriptor, `ESRCH` if it has exited, `EPERM` where tracing is
    /// forbidden.
    pub fn descriptor(&self, number: i32) -> Result<OwnedFd, Errno> {
        pidfd_getfd(&self.process.pidfd, number, PidfdGetfdFlags::empty())
    }

    /// TCP_INFO of one of its sockets, even one that no table lists any more. Changes nothing.
    ///
    /// # Errors
    /// As [`Program::descriptor`], and `EOPNOTSUPP` or `ENOTSOCK` if it is not a TCP socket.
    pub fn tcp_info(&self, number: i32) -> Result<TcpInfo, Errno> {
        tcp_info(self.descriptor(number)?)
    }

    /// The numbers of its descriptors that are sockets.
    #[must_use]
    pub fn sockets(&self) -> Vec<i32> {
        asleep::sockets(self.pid())
    }
}

impl AsFd for Program {
    /// Its pidfd.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.process.pidfd, Signal::KILL);
    }
}
