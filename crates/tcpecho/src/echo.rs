//! The book's `str_echo` (UNP 5.3): recv and send, and nothing else, until the peer's FIN.
//!
//! It runs in a thread of its own or in a forked child, so nothing here allocates, locks, or keeps state.

use std::{
    mem::MaybeUninit,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{
        RecvFlags, SendFlags, recv, send,
        sockopt::{Timeout, set_socket_timeout, socket_timeout},
    },
};
use tcpecho_os::{socket::reset, tcp_state::TcpState};

use crate::{
    Ending,
    lingering_close::{self, SocketEvents},
    session::Outcome,
};

/// Bytes of buffer that a blocking engine reads into.
pub(crate) const BUFFER: usize = 64 << 10;

/// Bytes that were moved.
#[derive(Clone, Copy)]
pub(crate) enum Moved {
    Received(usize),
    Sent(usize),
}

/// Echoes until the end of a connection and closes it gracefully. `count` is called for all bytes moved, `halted` returns
/// whether to close at once.
pub(crate) fn serve(
    fd: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
    count: &mut impl FnMut(Moved),
    halted: impl Fn() -> bool,
) -> Outcome {
    let mut outcome = echo(fd, buffer, RecvFlags::empty(), count);
    if outcome == Outcome::FINISHED && lingering_close::state(fd) == TcpState::Established {
        // End of file without the peer's FIN: it is our own reading side that was shut.
        outcome = until_quiet(fd, buffer, count);
    }
    if outcome.call.is_some() {
        // Received bytes may be lost, and our FIN would say that all of them came back.
        reset(fd);
    }
    if halted() {
        // The call in progress failed because of our shutdown.
        return Outcome::of(Ending::Draining);
    }
    if matches!(outcome, Outcome { ending: Ending::Draining | Ending::Idle, call: None }) {
        lingering_close::lingering_close(fd, lingering_close::LINGER);
    }
    outcome
}

/// recv and send until end of file. `EAGAIN` is the timeout of SO_RCVTIMEO, or that no data went out for that of SO_SNDTIMEO.
fn echo(
    fd: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
    flags: RecvFlags,
    count: &mut impl FnMut(Moved),
) -> Outcome {
    loop {
        let received = match recv(fd, &mut *buffer, flags) {
            Ok(((received, _), _)) => received,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => return Outcome::of(Ending::Idle),
            Err(errno) => return Outcome::failed("recv", errno),
        };
        if received.is_empty() {
            return Outcome::FINISHED;
        }
        count(Moved::Received(received.len()));
        if let Err(errno) = send_all(fd, received, count) {
            return match errno {
                Errno::AGAIN => Outcome { ending: Ending::Idle, call: Some(("send", errno)) },
                errno => Outcome::failed("send", errno),
            };
        }
    }
}

/// Sends all bytes. A short count is not an error on a stream socket (UNP 3.9): the peer reads slowly, or a signal came.
fn send_all(fd: BorrowedFd<'_>, bytes: &[u8], count: &mut impl FnMut(Moved)) -> Result<(), Errno> {
    match send_some(fd, bytes, count)? {
        sent if sent == bytes.len() => Ok(()),
        sent => {
            let limit = socket_timeout(fd, Timeout::Send)?;
            let result = send_slowly(fd, &bytes[sent..], limit, count);
            set_socket_timeout(fd, Timeout::Send, limit)?;
            result
        }
    }
}

/// Sends as many bytes as the socket accepts before a signal or the timeout of SO_SNDTIMEO ends the wait.
fn send_some(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    count: &mut impl FnMut(Moved),
) -> Result<usize, Errno> {
    match send(fd, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => {
            count(Moved::Sent(sent));
            Ok(sent)
        }
        Err(Errno::INTR | Errno::AGAIN) => Ok(0),
        Err(errno) => Err(errno),
    }
}

/// Sends to a peer that reads slowly or not at all. Fails with `EAGAIN` when the kernel has sent no data for `limit`.
///
/// SO_SNDTIMEO alone does not do this: each send(2) starts a new wait, also after a short count, and a call that times out
/// does not tell whether data that was accepted before has gone out meanwhile. So the timeout is what is left of the limit.
fn send_slowly(
    fd: BorrowedFd<'_>,
    mut bytes: &[u8],
    limit: Option<Duration>,
    count: &mut impl FnMut(Moved),
) -> Result<(), Errno> {
    while !bytes.is_empty() {
        if let Some(limit) = limit {
            let quiet = Duration::from_millis(lingering_close::sent_ago(fd).into());
            let left = limit.saturating_sub(quiet);
            if left.is_zero() {
                return Err(Errno::AGAIN);
            }
            set_socket_timeout(fd, Timeout::Send, Some(left))?;
        }
        let sent = send_some(fd, bytes, count)?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// While draining: answers what is still on its way, until the connection has been quiet for a moment.
fn until_quiet(
    fd: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
    count: &mut impl FnMut(Moved),
) -> Outcome {
    let events = SocketEvents::of(fd);
    loop {
        match echo(fd, buffer, RecvFlags::DONTWAIT, count) {
            // With the reading side shut both mean the same: nothing more has come yet.
            Outcome { ending: Ending::Finished | Ending::Idle, call: None } => {}
            failed => return failed,
        }
        if lingering_close::state(fd) != TcpState::Established {
            return Outcome::FINISHED;
        }
        let left = lingering_close::quiet_in(fd);
        if left.is_zero() {
            return Outcome::of(Ending::Draining);
        }
        events.wait(Instant::now() + left);
    }
}
