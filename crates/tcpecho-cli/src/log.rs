//! Lines for a descriptor that may be closed, full, or never drained: whoever writes one is not held up.
//!
//! A thread of its own does the writing. What it cannot write waits in a queue of bounded size, and what does not fit
//! there is counted and told later.

use std::{
    collections::VecDeque,
    os::fd::BorrowedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::SigSet;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, write},
};

use crate::output::{LostLine, lost_as_text};

/// Bytes that may wait.
const MOST: usize = 256 << 10;

#[derive(Default)]
struct Queue {
    bytes: VecDeque<u8>,
    lost: u64,
    /// The thread is writing what it took out last.
    writing: bool,
    /// Nobody reads any more.
    broken: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// A place to write lines to.
#[derive(Clone)]
pub(crate) struct Log(Arc<Shared>, LostLine);

impl Log {
    /// Lines go to `fd` from now on. Without a thread for it, they go nowhere.
    pub(crate) fn to(fd: BorrowedFd<'static>) -> Self {
        Log::telling(fd, lost_as_text)
    }

    /// The same, and `lost_line` says in the format of the lines that some are missing.
    pub(crate) fn telling(fd: BorrowedFd<'static>, lost_line: LostLine) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let started = thread::Builder::new().name("log".into()).spawn(move || drain(&theirs, fd));
        shared.lock().broken = started.is_err();
        Log(shared, lost_line)
    }

    /// Takes one line, without its newline.
    pub(crate) fn line(&self, text: &str) {
        let mut queue = self.0.lock();
        if queue.broken {
            return;
        }
        if queue.bytes.len() + text.len() + 64 > MOST {
            queue.lost += 1;
            return;
        }
        if queue.lost > 0 {
            let lost = std::mem::take(&mut queue.lost);
            queue.bytes.extend((self.1)(lost).bytes().chain([b'\n']));
        }
        queue.bytes.extend(text.bytes().chain([b'\n']));
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Waits until everything is written, but no longer than `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut queue = self.0.lock();
        while !queue.broken && (queue.writing || !queue.bytes.is_empty()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue =
                self.0.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing thread.
fn drain(shared: &Shared, fd: BorrowedFd<'_>) {
    // A terminal with `stty tostop` would stop the whole program for a line from the background.
    let _ = SigSet::all().thread_block();
    let mut taken = Vec::new();
    loop {
        let mut queue = shared.lock();
        while queue.bytes.is_empty() {
            queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        taken.extend(queue.bytes.drain(..));
        queue.writing = true;
        drop(queue);
        let written = write_all(fd, &taken);
        taken.clear();
        let mut queue = shared.lock();
        queue.writing = false;
        queue.broken = written.is_err();
        let over = queue.broken;
        drop(queue);
        shared.changed.notify_all();
        // The reader has gone; nobody will miss the rest.
        if over {
            return;
        }
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            // Somebody else made it non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None);
            }
            // A full disk may have room again later; these lines are lost to it.
            Err(Errno::NOSPC | Errno::DQUOT | Errno::IO) => return Ok(()),
            Err(errno) => return Err(errno),
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
