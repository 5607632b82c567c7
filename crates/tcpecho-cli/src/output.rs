//! Stdout, for every verb: [`OutputBuffer`].
//!
//! * Live events are bounded and never block: a slow reader would show up in what a verb measures. Events without room
//!   are counted, and the count is written where they are missing, in the format of the stream.
//! * A final report is written whole. It blocks until its reader takes it, a signal ends the wait, or the write fails.
//! * A reader that has left (EPIPE) ends the verb quietly and at once. Every other error is told, and is exit status 2.
//!
//! `println!` and `std::io::stdout()` do none of this: they panic or wait, and std takes EBADF for success.

mod descriptor;
mod file;
mod later;

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

pub(crate) use self::{
    descriptor::{Output, is_stdout_stderr},
    file::{close, write_file},
    later::{OutputFile, sentence},
};
use crate::{
    exit,
    locale::{ascii, is_ascii},
    signals::Signals,
    stderr::say,
    units::counted,
    width::{fitted, stdout_columns},
};

/// Bytes of live events that may wait.
const LIVE: usize = 256 << 10;
/// Bytes of a report that wait before they are written, where it is produced piece by piece.
const CHUNK: usize = 64 << 10;

/// Says that lines are missing, as one line without its newline.
pub(crate) type LostLine = fn(u64) -> String;

/// The line of a text stream in which lines are missing.
pub(crate) fn lost_as_text(lines: u64) -> String {
    let lines = counted(lines, "line", "lines");
    format!("{lines} lost: they came faster than they were read")
}

/// The object of a JSON stream in which lines are missing; the same in the log of `serve`.
pub(crate) fn lost_as_json(lines: u64) -> String {
    format!(r#"{{"event":"lines-lost","lines":{lines}}}"#)
}

/// Why output was not written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// Its reader has left (EPIPE), as head(1) does.
    ReaderLeft,
    /// The write failed.
    Failed(Errno),
    /// A second signal came while so many bytes waited for their reader.
    Signal(Signal, usize),
}

impl Unwritten {
    /// The exit status of a verb whose status would have been `status`; an error is told.
    pub(crate) fn status(self, status: u8) -> u8 {
        match self {
            Unwritten::ReaderLeft => status,
            Unwritten::Failed(errno) => {
                say(&format!("write to stdout: {}", tcpecho_os::errno::words(errno)));
                exit::NOT_POSSIBLE
            }
            Unwritten::Signal(signal, missing) => {
                say(&format!(
                    "write to stdout: {signal} ended the wait for the reader: the last {missing} bytes \
                     were not written"
                ));
                exit::interrupted_by(signal)
            }
        }
    }
}

/// Bounded, non-blocking stdout for live events, and blocking stdout for reports.
///
/// As an [`io::Write`] it takes a report piece by piece and may block.
#[derive(Debug)]
pub(crate) struct OutputBuffer {
    output: Output,
    waiting: VecDeque<u8>,
    lost: u64,
    lost_line: LostLine,
    failed: Option<Errno>,
    /// Whether it is text for a reader who sees ASCII only.
    ascii: bool,
}

impl OutputBuffer {
    /// This process's stdout for text, which is spelled in ASCII where the locale or the terminal needs that.
    pub(crate) fn text() -> Self {
        OutputBuffer { ascii: is_ascii(&io::stdout()), ..OutputBuffer::stdout(lost_as_text) }
    }

    /// This process's stdout; `lost_line` belongs to the format of its live events.
    pub(crate) fn stdout(lost_line: LostLine) -> Self {
        let output = Output::stdout();
        let (waiting, failed) = (VecDeque::new(), None);
        OutputBuffer { output, waiting, lost: 0, lost_line, failed, ascii: false }
    }

    /// Takes a live event, one line without its newline. Without room it is counted as lost.
    pub(crate) fn line(&mut self, text: &str) {
        let room = if self.lost > 0 { LIVE / 2 } else { LIVE };
        if self.waiting.len() + text.len() >= room {
            self.lost += 1;
            return;
        }
        self.tell_lost();
        self.report_line(text);
    }

    /// Takes a piece of a picture that is redrawn later, if there is room.
    pub(crate) fn raw(&mut self, text: &str) {
        if self.waiting.len() + text.len() < LIVE {
            self.report(text);
        }
    }

    /// Takes a part of a report, which is never dropped. [`finish`](Self::finish) writes it.
    pub(crate) fn report(&mut self, text: &str) {
        if self.failed.is_none() {
            self.tell_lost();
            self.take(text);
        }
    }

    fn take(&mut self, text: &str) {
        if self.ascii && !text.is_ascii() {
            self.waiting.extend(ascii(text).into_bytes());
        } else {
            self.waiting.extend(text.as_bytes());
        }
    }

    /// The same for one line without its newline.
    pub(crate) fn report_line(&mut self, text: &str) {
        self.report(text);
        self.report("\n");
    }

    fn tell_lost(&mut self) {
        if let lost @ 1.. = std::mem::take(&mut self.lost) {
            let note = (self.lost_line)(lost);
            self.waiting.extend(note.as_bytes());
            self.waiting.push_back(b'\n');
        }
    }

    /// Whether something waits to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What to poll for. With nothing to write that is only that the reader leaves, which poll(2) always reports.
    pub(crate) fn interest(&self) -> PollFlags {
        if self.is_waiting() { PollFlags::OUT } else { PollFlags::empty() }
    }

    /// Writes what can be written without blocking. Call it when poll(2) has reported something.
    pub(crate) fn on_ready(&mut self) {
        // Nothing was asked for and something is reported: the reader has left.
        if self.waiting.is_empty() {
            self.fail(Errno::PIPE);
            return;
        }
        match self.output.write(self.waiting.as_slices().0) {
            // What takes nothing and reports no error would be asked for ever.
            Ok(0) => self.fail(Errno::IO),
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => self.fail(errno),
        }
    }

    fn fail(&mut self, errno: Errno) {
        self.waiting.clear();
        self.failed = Some(errno);
    }

    /// Whether, and why, nothing more can be written.
    pub(crate) fn check(&self) -> Result<(), Unwritten> {
        match self.failed {
            None => Ok(()),
            Some(Errno::PIPE) => Err(Unwritten::ReaderLeft),
            Some(errno) => Err(Unwritten::Failed(errno)),
        }
    }

    /// Looks, without blocking, whether the reader has left, and writes what can be written. For verbs that do not poll
    /// stdout with everything else.
    pub(crate) fn poll_now(&mut self) -> Result<(), Unwritten> {
        while self.failed.is_none() {
            let mut watched = [PollFd::new(&self.output, self.interest())];
            match poll(&mut watched, Some(&Timespec::default())) {
                Ok(1..) => self.on_ready(),
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => break,
            }
        }
        self.check()
    }

    /// Writes all that waits, however long that takes, unless the second of `signals` comes first.
    ///
    /// The first one ends the run. If it comes during this wait, it is put back for the caller.
    pub(crate) fn finish(&mut self, signals: Option<&Signals>) -> Result<(), Unwritten> {
        let mut first = None;
        let written = self.write_all(signals, &mut first);
        if let Some((signals, signal)) = signals.zip(first) {
            signals.put_back(signal);
        }
        written
    }

    fn write_all(
        &mut self,
        signals: Option<&Signals>,
        first: &mut Option<Signal>,
    ) -> Result<(), Unwritten> {
        self.tell_lost();
        while self.is_waiting() && self.failed.is_none() {
            // Without signals, stdout is polled twice.
            let signal_fd = signals.map_or(self.output.as_fd(), AsFd::as_fd);
            let wanted = if signals.is_some() { PollFlags::IN } else { PollFlags::empty() };
            let mut watched =
                [PollFd::new(&self.output, PollFlags::OUT), PollFd::new(&signal_fd, wanted)];
            let polled = poll(&mut watched, None);
            let ready = !watched[0].revents().is_empty();
            match polled {
                Err(Errno::INTR) => continue,
                Err(errno) => self.fail(errno),
                Ok(_) => {}
            }
            let is_second = signals.is_some_and(Signals::has_ended);
            match signals.and_then(ending_signal) {
                None => {}
                Some(Signal::SIGPIPE) => self.fail(Errno::PIPE),
                Some(signal) if is_second => {
                    return Err(Unwritten::Signal(signal, self.waiting.len()));
                }
                Some(signal) => *first = Some(signal),
            }
            if ready && self.failed.is_none() {
                self.on_ready();
            }
        }
        self.check()
    }

    /// Writes a line, blocking. Output that fails ends the program at once, as SIGPIPE would: for verbs that show
    /// something while it happens and have no event loop.
    pub(crate) fn line_or_exit(&mut self, text: &str) {
        self.report_line(text);
        if let Err(why) = self.finish(None) {
            std::process::exit(why.status(0).into());
        }
    }

    /// Ends the output of a verb that polls no signals: writes all that waits, and gives the exit status, which is
    /// `status` unless the output failed.
    pub(crate) fn end(mut self, status: u8) -> u8 {
        match self.finish(None) {
            Ok(()) => status,
            Err(why) => why.status(status),
        }
    }
}

/// For a verb with no event loop: ends the program when the reader of stdout leaves, before anything is written, until
/// this is dropped. Like SIGPIPE it leaves no time to take anything down.
#[derive(Debug)]
pub(crate) struct ExitWithReader(Arc<AtomicBool>);

impl ExitWithReader {
    /// Begins to watch, in a thread. Without one a reader that leaves is noticed when something is written.
    pub(crate) fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&over);
        let watch = move || {
            let stdout = io::stdout();
            let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
            while matches!(poll(&mut watched, None), Err(Errno::INTR)) {}
            if !watched[0].revents().is_empty() && !theirs.load(Relaxed) {
                std::process::exit(i32::from(Unwritten::ReaderLeft.status(0)));
            }
        };
        let _ = thread::Builder::new().name("stdout".into()).spawn(watch);
        ExitWithReader(over)
    }
}

impl Drop for ExitWithReader {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A signal that ends a program, if one has come.
fn ending_signal(signals: &Signals) -> Option<Signal> {
    let signal = signals.next()?;
    let harmless = [Signal::SIGQUIT, Signal::SIGWINCH, Signal::SIGCONT, Signal::SIGTSTP];
    (!harmless.contains(&signal)).then_some(signal)
}

/// Writes a whole text to stdout, blocking, in ASCII where that is needed. What is too wide for a terminal is wrapped at
/// words.
pub(crate) fn print_text(text: &str, signals: Option<&Signals>) -> Result<(), Unwritten> {
    let mut stdout = OutputBuffer::text();
    stdout.report(&fitted(text, stdout_columns()));
    stdout.finish(signals)
}

/// Writes a whole report to stdout, blocking.
pub(crate) fn print(text: &str, signals: Option<&Signals>) -> Result<(), Unwritten> {
    let mut stdout = OutputBuffer::stdout(lost_as_text);
    stdout.report(text);
    stdout.finish(signals)
}

impl io::Write for OutputBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tell_lost();
        match std::str::from_utf8(bytes) {
            Ok(text) => self.take(text),
            Err(_) => self.waiting.extend(bytes),
        }
        if self.waiting.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.finish(None);
        self.failed.map_or(Ok(()), |errno| Err(errno.into()))
    }
}

impl AsFd for OutputBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}
