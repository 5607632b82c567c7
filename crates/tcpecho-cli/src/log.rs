//! Lines for a descriptor that may be closed, full, or never drained: whoever writes one is not held up.
//!
//! A thread of its own does the writing. What it cannot write waits in a queue of bounded size; what does not fit there is
//! counted, and the count is written where the lines are missing. Where no thread can be started, lines are written by
//! their caller, as far as that does not block.

use std::{
    collections::VecDeque,
    os::fd::BorrowedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use nix::sys::signal::SigSet;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, write},
};

use crate::output::{LostLine, lost_as_text};

/// Bytes that may wait.
const MOST: usize = 256 << 10;
/// The writer rests for this long after each write. Of many lines in a row it then writes many at a time, and those who
/// hand them over need not wake it.
const REST: Duration = Duration::from_millis(2);
/// A pipe that poll(2) calls writable takes this much without blocking (PIPE_BUF; pipe(7)).
const AT_ONCE: usize = 4096;

/// The time of day as it stands in front of every line of a log.
pub(crate) fn now() -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_millis(SystemTime::now())
}

/// What becomes of the queue.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Writer {
    /// The thread waits for lines.
    #[default]
    Waiting,
    /// The thread is writing what it took out last.
    Writing,
    /// The thread has written and will look for more lines soon.
    Resting,
    /// There is no thread.
    Absent,
    /// Nothing: nobody reads any more.
    Over,
}

#[derive(Default)]
struct Queue {
    bytes: VecDeque<u8>,
    lost: u64,
    writer: Writer,
    /// The last write ended inside a line.
    torn: bool,
    /// So many wait until everything is written.
    flushing: usize,
}

struct Shared {
    fd: BorrowedFd<'static>,
    lost_line: LostLine,
    queue: Mutex<Queue>,
    /// The writer is wanted.
    wanted: Condvar,
    /// The writer has written.
    written: Condvar,
}

/// A place to write lines to.
#[derive(Clone)]
pub(crate) struct Log(Arc<Shared>);

impl Log {
    /// Lines go to `fd` from now on.
    pub(crate) fn to(fd: BorrowedFd<'static>) -> Self {
        Log::telling(fd, lost_as_text)
    }

    /// The same, and `lost_line` says in the format of the lines that some are missing.
    pub(crate) fn telling(fd: BorrowedFd<'static>, lost_line: LostLine) -> Self {
        let (wanted, written) = (Condvar::new(), Condvar::new());
        let queue = Mutex::default();
        let shared = Arc::new(Shared { fd, lost_line, queue, wanted, written });
        let theirs = Arc::clone(&shared);
        let started = thread::Builder::new().name("log".into()).spawn(move || drain(&theirs));
        if started.is_err() {
            shared.lock().writer = Writer::Absent;
        }
        Log(shared)
    }

    /// Takes one line, without its newline.
    pub(crate) fn line(&self, text: &str) {
        let mut queue = self.0.lock();
        if queue.writer == Writer::Over {
            return;
        }
        if queue.bytes.len() + text.len() + 128 > MOST {
            queue.lost += 1;
        } else {
            queue.tell_lost(self.0.lost_line);
            queue.bytes.extend(text.bytes().chain([b'\n']));
        }
        let waits = match queue.writer {
            Writer::Absent => {
                queue.write_now(self.0.fd);
                false
            }
            writer => writer == Writer::Waiting,
        };
        drop(queue);
        // One that writes or rests looks for more lines by itself.
        if waits {
            self.0.wanted.notify_one();
        }
    }

    /// Waits until everything is written, but no longer than `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut queue = self.0.lock();
        if queue.writer == Writer::Absent {
            return queue.write_until(self.0.fd, deadline, self.0.lost_line);
        }
        queue.flushing += 1;
        self.0.wanted.notify_one();
        while queue.writer == Writer::Writing
            || (queue.writer != Writer::Over && !queue.bytes.is_empty())
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let wait = self.0.written.wait_timeout(queue, left);
            queue = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.flushing -= 1;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the queue to the writing thread once there is something in it and the rest is over.
    fn wait_for_lines(&self) -> MutexGuard<'_, Queue> {
        let mut queue = self.lock();
        if queue.writer == Writer::Resting {
            let more = |queue: &mut Queue| queue.flushing == 0 || queue.bytes.is_empty();
            let rest = self.wanted.wait_timeout_while(queue, REST, more);
            queue = rest.unwrap_or_else(PoisonError::into_inner).0;
            queue.writer = Writer::Waiting;
        }
        let wait = self.wanted.wait_while(queue, |queue| queue.bytes.is_empty());
        wait.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The lines that are missing were lost after all that waits.
    fn tell_lost(&mut self, lost_line: LostLine) {
        if self.lost > 0 {
            let line = lost_line(std::mem::take(&mut self.lost));
            self.bytes.extend(line.bytes().chain([b'\n']));
        }
    }

    /// Writes as much as the descriptor takes without blocking. Gives whether nothing is left.
    fn write_now(&mut self, fd: BorrowedFd<'_>) -> bool {
        match write_now(fd, self.bytes.make_contiguous()) {
            Ok(written) => drop(self.bytes.drain(..written)),
            Err(errno) => {
                let unwritten: Vec<u8> = self.bytes.drain(..).collect();
                self.failed(errno, &unwritten);
            }
        }
        self.bytes.is_empty()
    }

    fn write_until(&mut self, fd: BorrowedFd<'_>, deadline: Instant, lost_line: LostLine) {
        self.tell_lost(lost_line);
        while !self.write_now(fd) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(left) = Timespec::try_from(left) else { return };
            match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&left)) {
                Ok(0) => return,
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// A write failed before these bytes. A full disk may have room again later, and its lines are counted; without a
    /// reader nobody will miss them.
    fn failed(&mut self, errno: Errno, unwritten: &[u8]) {
        match errno {
            Errno::NOSPC | Errno::DQUOT | Errno::IO => {
                self.lost += unwritten.split(|byte| *byte == b'\n').count() as u64 - 1;
            }
            _ => self.writer = Writer::Over,
        }
    }
}

/// Writes as much as the descriptor takes without blocking, and gives how much that was.
pub(crate) fn write_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    let mut written = 0;
    while written < bytes.len() {
        let mut watched = [PollFd::new(&fd, PollFlags::OUT)];
        match poll(&mut watched, Some(&Timespec::default())) {
            Ok(0) => break,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        let end = bytes.len().min(written + AT_ONCE);
        match write(fd, &bytes[written..end]) {
            Ok(n) => written += n,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(written)
}

/// The writing thread.
fn drain(shared: &Shared) {
    // A terminal with `stty tostop` would stop the whole program for a line from the background.
    let _ = SigSet::all().thread_block();
    let mut taken = Vec::new();
    loop {
        let mut queue = shared.wait_for_lines();
        // What a full disk took of a line before is left alone on that line.
        if std::mem::take(&mut queue.torn) {
            taken.push(b'\n');
        }
        queue.tell_lost(shared.lost_line);
        taken.extend(queue.bytes.drain(..));
        queue.writer = Writer::Writing;
        drop(queue);
        let written = write_all(shared.fd, &taken);
        let mut queue = shared.lock();
        queue.writer = Writer::Resting;
        if let Err((errno, unwritten)) = written {
            let end = taken[..taken.len() - unwritten.len()].last();
            queue.torn = end.is_some_and(|byte| *byte != b'\n');
            queue.failed(errno, unwritten);
        }
        taken.clear();
        let over = queue.writer == Writer::Over;
        let flushing = queue.flushing > 0;
        drop(queue);
        if flushing {
            shared.written.notify_all();
        }
        if over {
            return;
        }
    }
}

/// Gives the bytes that were not written, too.
fn write_all<'a>(fd: BorrowedFd<'_>, mut bytes: &'a [u8]) -> Result<(), (Errno, &'a [u8])> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            // Somebody else made it non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None);
            }
            Err(errno) => return Err((errno, bytes)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, pipe},
        os::fd::{AsRawFd, IntoRawFd},
    };

    use super::*;

    #[test]
    fn a_reader_that_sleeps_holds_nobody_up_and_learns_what_it_missed() {
        let (mut reader, writer) = pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
        // The log's thread keeps the descriptor for the rest of the process.
        let kept: &'static _ = Box::leak(Box::new(writer));
        let log = Log::to(std::os::fd::AsFd::as_fd(kept));
        let line = "x".repeat(99);
        for _ in 0..10_000 {
            log.line(&line);
        }
        let start = Instant::now();
        log.flush(Duration::from_millis(50));
        assert!(start.elapsed() < Duration::from_secs(5));
        let mut seen = String::new();
        let mut buffer = vec![0; 65536];
        while !seen.contains("the end\n") {
            let n = reader.read(&mut buffer).unwrap();
            seen.push_str(str::from_utf8(&buffer[..n]).unwrap());
            log.line("the end");
        }
        assert!(seen.contains(" lines lost"), "{}", &seen[seen.len() - 200..]);
        assert!(kept.as_raw_fd() > 2);
    }

    /// Lines that come one by one are taken no more often than the writer rests.
    #[test]
    fn the_writer_rests_between_two_writes() {
        let (mut reader, writer) = pipe().unwrap();
        let kept: &'static _ = Box::leak(Box::new(writer));
        let log = Log::to(std::os::fd::AsFd::as_fd(kept));
        let start = Instant::now();
        for _ in 0..20 {
            log.line("a line");
            while !log.0.lock().bytes.is_empty() {
                thread::yield_now();
            }
        }
        assert!(start.elapsed() >= 18 * REST, "{:?}", start.elapsed());
        // And all of them are written.
        reader.read_exact(&mut [0; 20 * 7]).unwrap();
    }

    /// write(2): a full disk may have room again, and a reader that is gone does not come back.
    #[test]
    fn lines_that_a_full_disk_does_not_take_are_counted() {
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::IO] {
            let mut queue = Queue::default();
            queue.failed(errno, b"one\ntwo\nthree\n");
            queue.failed(errno, b" rest of one\n");
            assert!(queue.lost == 4 && queue.writer != Writer::Over, "{errno:?}");
        }
        let mut queue = Queue::default();
        queue.failed(Errno::PIPE, b"one\n");
        assert!(queue.lost == 0 && queue.writer == Writer::Over);
    }

    #[test]
    fn a_reader_that_left_is_forgotten() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let fd = writer.into_raw_fd();
        let kept: &'static std::fs::File = Box::leak(Box::new(
            std::fs::File::options().write(true).open(format!("/proc/self/fd/{fd}")).unwrap(),
        ));
        let log = Log::to(std::os::fd::AsFd::as_fd(kept));
        log.line("to nobody");
        log.flush(Duration::from_secs(10));
        log.line("still to nobody");
        log.flush(Duration::from_secs(10));
    }
}
