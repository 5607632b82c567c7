//! Reads and writes exact numbers of bytes, and lines: the book's `readn`, `writen` and `readline` (UNP 3.9).
//!
//! # The short-count rule
//!
//! On a stream socket `read` may return fewer bytes than requested, and `write` may accept fewer bytes than given.
//! Neither is an error, and both happen often. TCP carries bytes, not messages: `read` returns what has arrived (one
//! segment, half a message, two messages), and a non-blocking or interrupted `write` stops when the send buffer is
//! full. One `write` of the peer may be several `read`s here. A program that needs *n* bytes must repeat the call until
//! it has them, until the end of the input (0), or until an error.
//!
//! These functions do that. They take anything with a descriptor, retry after a signal (`EINTR`), and wait
//! with poll(2) when a non-blocking descriptor returns `EAGAIN`. The `EAGAIN` of a blocking socket means that
//! its timeout (`SO_RCVTIMEO`, `SO_SNDTIMEO`) has passed, and is returned. They neither allocate nor lock, so
//! that a forked child may call them.

mod line_reader;

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{self, Errno, retry_on_intr};
use rustix::net::{SendFlags, send};

use crate::Error;

pub use line_reader::{LineReader, Piece};

/// Writes all of `bytes` (the book's `writen`).
///
/// On a socket a broken connection is `EPIPE` without `SIGPIPE` (`MSG_NOSIGNAL`); on a pipe the signal's
/// disposition applies.
///
/// ```
/// use tcpecho::exact::{read_exactly_or_eof, write_all};
///
/// let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
/// write_all(&ours, b"hello")?;
/// drop(ours);
/// let mut buffer = [0; 16];
/// assert_eq!(read_exactly_or_eof(&theirs, &mut buffer[..4])?, 4);
/// assert_eq!(read_exactly_or_eof(&theirs, &mut buffer)?, 1); // fewer: the end of the input
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of write(2) and send(2). How many bytes were written before is not known.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        match write_some(fd.as_fd(), bytes) {
            Ok(0) => return Err(Error::new("write", Errno::IO)),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(fd.as_fd(), PollFlags::OUT, "write")?,
            Err(errno) => return Err(Error::new("write", errno)),
        }
    }
    Ok(())
}

fn write_some(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    match send(fd.as_fd(), bytes, SendFlags::NOSIGNAL) {
        Err(Errno::NOTSOCK) => io::write(fd, bytes),
        result => result,
    }
}

/// Reads until `buffer` is full or the input ends (the book's `readn`). Returns the number of bytes, which is
/// smaller than the buffer only at the end of the input.
///
/// # Errors
///
/// Those of read(2). How many bytes of the buffer were filled before is not known.
pub fn read_exactly_or_eof(fd: impl AsFd, buffer: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_some(fd.as_fd(), &mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Reads what there is, and waits until there is something; 0 is the end of the input.
fn read_some(fd: impl AsFd, space: &mut [u8]) -> Result<usize, Error> {
    loop {
        match io::read(fd.as_fd(), &mut *space) {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(fd.as_fd(), PollFlags::IN, "read")?,
            Err(errno) => return Err(Error::new("read", errno)),
        }
    }
}

/// Waits for a non-blocking descriptor. On a blocking one `EAGAIN` was the end of its own timeout.
fn wait(fd: impl AsFd, events: PollFlags, op: &'static str) -> Result<(), Error> {
    let fd = fd.as_fd();
    let flags = fcntl_getfl(fd).map_err(|errno| Error::new("fcntl", errno))?;
    if !flags.contains(OFlags::NONBLOCK) {
        return Err(Error::new(op, Errno::AGAIN));
    }
    let mut ready = [PollFd::from_borrowed_fd(fd, events)];
    retry_on_intr(|| poll(&mut ready, None)).map_err(|errno| Error::new("poll", errno))?;
    Ok(())
}
