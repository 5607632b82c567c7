//! Reading and writing exactly: the book's `readn`, `writen` and `readline` (UNP 3.9).
//!
//! # The short-count rule
//!
//! On a stream socket `read` may return fewer bytes than were asked for, and `write` may take fewer
//! than were given. Neither is an error, and neither is rare: TCP carries bytes, not messages, so
//! `read` returns what has come (one segment, half a message, two of them), and a non-blocking or
//! interrupted `write` stops where the send buffer is full. What was one `write` at the peer need
//! not be one `read` here. Whoever needs *n* bytes must therefore ask again until they are there,
//! until the end of the input (0), or until an error.
//!
//! The functions here do that. They take anything with a descriptor, begin again after a signal
//! (`EINTR`), and wait with poll(2) where a non-blocking descriptor says `EAGAIN`. A blocking
//! socket on which a timeout was set (`SO_RCVTIMEO`, `SO_SNDTIMEO`) gives `EAGAIN` when it is over, which
//! is returned. They neither allocate nor lock, so that a forked child may call them.

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
/// A broken connection is `EPIPE` and never `SIGPIPE`, if the descriptor is a socket
/// (`MSG_NOSIGNAL`); on a pipe the signal is as the program has set it.
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
/// What write(2) or send(2) says. How many bytes went before it is not known.
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

/// Reads until `buffer` is full or the input ends (the book's `readn`); the number of bytes read is
/// smaller than the buffer only at the end of the input.
///
/// # Errors
///
/// What read(2) says. The buffer then holds what came before, and how much that is is not known.
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
