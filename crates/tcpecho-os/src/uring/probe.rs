//! Tests whether a ring works here. io_uring_setup(2) alone does not show it: a seccomp filter may refuse
//! io_uring_enter(2), and a kernel may list an operation that it then refuses.

use std::{
    os::fd::OwnedFd,
    rc::Rc,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
};

use super::{Done, Ring, errno};

/// Every operation completes at once. A ring that takes longer than this does not work.
const PATIENCE: Duration = Duration::from_secs(5);
const WORD: &[u8] = b"tcpecho";
const TOKEN: u32 = 1;

/// Makes a ring and runs a poll, a receive and both kinds of send on a socket pair.
///
/// # Errors
/// The step that failed and its errno: `io_uring_setup` (`EPERM`: sysctl kernel.io_uring_disabled or a seccomp filter;
/// `ENOSYS`: this kernel has no io_uring), `io_uring_register` for an operation or a buffer ring that this kernel lacks,
/// `io_uring_enter`, or an operation, by its name; `ETIME` where it never completes; `socketpair`; `pthread_create`.
pub fn probe() -> Result<(), (&'static str, Errno)> {
    // A moment after a ring was closed the kernel interrupts the thread that made it, to take its part of the ring down;
    // in the caller's thread a blocking call would fail with EINTR. So the thread that makes this ring ends with it.
    let probing = std::thread::Builder::new().name("tcpecho".into()).spawn(|| {
        crate::thread::block_signals();
        run_the_operations(&mut Ring::new()?)
    });
    let probing = probing.map_err(|error| ("pthread_create", errno(&error)))?;
    probing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A word arrives, is sent back, and the receive behind the send sees the end of the stream.
fn run_the_operations(ring: &mut Ring) -> Result<(), (&'static str, Errno)> {
    let (ours, theirs) = pair().map_err(|errno| ("socketpair", errno))?;
    let ours = Rc::new(ours);
    rustix::io::write(&theirs, WORD).map_err(|errno| ("write", errno))?;
    ring.poll(&ours, TOKEN);
    match next(ring)? {
        Done::Readable(TOKEN, Ok(())) => {}
        Done::Readable(_, Err(errno)) => return Err(("IORING_OP_POLL_ADD", errno)),
        _ => return Err(("IORING_OP_POLL_ADD", Errno::PROTO)),
    }
    ring.recv(&ours, TOKEN);
    let chunk = received(next(ring)?)?.ok_or(("IORING_OP_RECV", Errno::NODATA))?;
    if chunk.bytes() != WORD {
        return Err(("IORING_OP_RECV", Errno::PROTO));
    }
    rustix::net::shutdown(&theirs, rustix::net::Shutdown::Write)
        .map_err(|errno| ("shutdown", errno))?;
    ring.send(&ours, chunk, TOKEN, true);
    // The link was kept, so the receive behind it was made, and found the end. The two complete in any order.
    for _ in 0..2 {
        match next(ring)? {
            done @ Done::Received(..) => {
                if received(done)?.is_some() {
                    return Err(("IORING_OP_RECV", Errno::PROTO));
                }
            }
            done => sent(&done)?,
        }
    }
    ring.flush(&ours, WORD.to_vec(), 0, TOKEN);
    sent(&next(ring)?)
}

fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

fn received(done: Done) -> Result<Option<super::Chunk>, (&'static str, Errno)> {
    match done {
        Done::Received(TOKEN, Ok(chunk)) => Ok(chunk),
        Done::Received(_, Err(errno)) => Err(("IORING_OP_RECV", errno)),
        _ => Err(("IORING_OP_RECV", Errno::PROTO)),
    }
}

fn sent(done: &Done) -> Result<(), (&'static str, Errno)> {
    let result = match done {
        Done::Sent(TOKEN, result, _) | Done::Flushed(TOKEN, result, _) => *result,
        _ => Err(Errno::PROTO),
    };
    match result {
        Ok(count) if count == WORD.len() => Ok(()),
        Ok(_) => Err(("IORING_OP_SEND", Errno::MSGSIZE)),
        Err(errno) => Err(("IORING_OP_SEND", errno)),
    }
}

fn next(ring: &mut Ring) -> Result<Done, (&'static str, Errno)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(done) = ring.next_done() {
            return Ok(done);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(("io_uring_enter", Errno::TIME));
        }
        ring.enter(Some(left)).map_err(|errno| ("io_uring_enter", errno))?;
    }
}
