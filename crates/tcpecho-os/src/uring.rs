//! A thin safe ring: io_uring(7) for sockets, with the buffers inside.
//!
//! The kernel reads and writes memory long after a request was made, so the ring owns every byte it can touch: a pool of
//! equal buffers from which a receive takes one when there is something to put in it (io_uring_register_buf_ring(3)), and
//! whatever [`Ring::flush`] is given. A filled buffer is lent out as a [`Chunk`]; giving it to [`Ring::send`] or
//! [`Ring::recycle`] ends the loan, so no buffer is used twice at a time. Every request has exactly one completion: no
//! multishot request that can end unnoticed, and as many requests under way as were made and not completed.

mod pool;
mod probe;

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    time::{Duration, Instant},
};

use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};
use rustix::io::Errno;
use slab::Slab;

use pool::Pool;

pub use pool::Chunk;
pub use probe::probe;

/// Buffers in a ring's pool.
const BUFFERS: u16 = 256;
/// Bytes in one of them; pages are taken when first touched.
pub const BUFFER_SIZE: usize = 64 << 10;
const SUBMISSIONS: u32 = 512;
const COMPLETIONS: u32 = 8192;
/// How long dropping a ring waits for requests that were cancelled.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before asking a kernel again that had no memory.
const SHORTAGE: Duration = Duration::from_millis(5);

/// A completed request, with the token it was made with.
#[derive(Debug)]
pub enum Done {
    /// [`Ring::poll`]: the descriptor is readable, or the poll failed.
    Readable(u32, Result<(), Errno>),
    /// [`Ring::recv`]: what came, `None` at end of file.
    Received(u32, Result<Option<Chunk>, Errno>),
    /// [`Ring::send`]: how much of the chunk went out, and the chunk back.
    Sent(u32, Result<usize, Errno>, Chunk),
    /// [`Ring::flush`]: how much went out from the offset on, and the bytes back.
    Flushed(u32, Result<usize, Errno>, Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Poll,
    Recv,
    Send,
    Flush,
    Cancel,
}

/// What comes back with a completion: which request, about which buffer (24 bits), for which token.
fn pack(op: Op, about: usize, token: u32) -> u64 {
    (op as u64) << 56 | (about as u64 & 0xff_ffff) << 32 | u64::from(token)
}

fn unpack(data: u64) -> (Op, usize, u32) {
    let op = [Op::Poll, Op::Recv, Op::Send, Op::Flush, Op::Cancel][(data >> 56) as usize];
    (op, (data >> 32) as usize & 0xff_ffff, data as u32)
}

/// An io_uring instance with its buffers. Belongs to the thread that makes it.
pub struct Ring {
    uring: IoUring,
    /// `None` only while dropping.
    pool: Option<Pool>,
    /// Bytes of flushes under way.
    flushing: Slab<Vec<u8>>,
    /// Requests that found no room in the submission queue, a request and what is linked behind it.
    waiting: VecDeque<(squeue::Entry, Option<squeue::Entry>)>,
    under_way: usize,
}

impl Ring {
    /// A ring for the calling thread, with its pool of [`BUFFER_SIZE`]-byte buffers.
    ///
    /// # Errors
    /// As [`probe`], or `ENOMEM`.
    pub fn new() -> Result<Self, (&'static str, Errno)> {
        let uring = set_up().map_err(|error| ("io_uring_setup", errno(&error)))?;
        check_operations(&uring)?;
        let pool = Pool::new(&uring, BUFFERS, BUFFER_SIZE)?;
        let pool = Some(pool);
        Ok(Ring { uring, pool, flushing: Slab::new(), waiting: VecDeque::new(), under_way: 0 })
    }

    /// Completes once when `fd` is readable.
    pub fn poll(&mut self, fd: BorrowedFd<'_>, token: u32) {
        let entry = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), libc::POLLIN as u32).build();
        self.push(entry.user_data(pack(Op::Poll, 0, token)), None);
    }

    /// Receives at most one buffer from a socket. Holds no buffer until there is something to receive.
    ///
    /// The socket must stay open until this has completed, or the request may meet another file with its number.
    pub fn recv(&mut self, fd: BorrowedFd<'_>, token: u32) {
        let entry = recv_entry(fd.as_raw_fd(), token);
        self.push(entry, None);
    }

    /// Sends a chunk, as much as the socket takes without waiting; if that is all of it, and `then_recv`, receives again.
    /// Else the receive completes with `ECANCELED`, before or after the send does, or is made all the same, as kernels differ in
    /// whether a partial send breaks a link. The socket must stay open until both have completed.
    pub fn send(&mut self, fd: BorrowedFd<'_>, chunk: Chunk, token: u32, then_recv: bool) {
        let bytes = self.bytes(&chunk);
        // MSG_WAITALL makes a short send break the link; MSG_DONTWAIT makes the buffer come back at once.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        let entry =
            opcode::Send::new(types::Fd(fd.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32)
                .flags(flags)
                .build()
                .user_data(pack(Op::Send, chunk.into_index(), token));
        if then_recv {
            let recv = recv_entry(fd.as_raw_fd(), token);
            self.push(entry.flags(squeue::Flags::IO_LINK), Some(recv));
        } else {
            self.push(entry, None);
        }
    }

    /// Waits for room in the socket, then sends what fits of the bytes from offset `from` on, which may be only some.
    ///
    /// It must not be whole: a send with `MSG_WAITALL` may wait often, and after 128 waits the kernel gives it a worker
    /// thread to block in (`APOLL_MAX_RETRY` in io_uring/poll.c). The same happens once the peer has half-closed: the poll
    /// that the kernel waits with also reports `EPOLLRDHUP`, at once and each time. So a server, whose peers may half-close
    /// and not read, waits for room by epoll(7), which a ring can poll.
    ///
    /// The socket must stay open until this has completed.
    pub fn flush(&mut self, fd: BorrowedFd<'_>, bytes: Vec<u8>, from: usize, token: u32) {
        let rest = bytes.get(from..).unwrap_or_default();
        let (start, len) = (rest.as_ptr(), rest.len() as u32);
        let key = self.flushing.insert(bytes);
        let entry = opcode::Send::new(types::Fd(fd.as_raw_fd()), start, len)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data(pack(Op::Flush, key, token));
        self.push(entry, None);
    }

    /// What was received.
    ///
    /// # Panics
    /// Never: the pool leaves the ring only when it is dropped.
    #[must_use]
    pub fn bytes(&self, chunk: &Chunk) -> &[u8] {
        self.pool.as_ref().expect("the pool lives as long as the ring").bytes(chunk)
    }

    /// Gives a buffer back to the pool.
    pub fn recycle(&mut self, chunk: Chunk) {
        if let Some(pool) = &mut self.pool {
            pool.recycle(chunk);
        }
    }

    /// Hands the requests made so far to the kernel and waits until something has completed or the time is over.
    ///
    /// # Errors
    /// io_uring_enter(2), but for `EINTR`, `ETIME`, `EBUSY`, `EAGAIN` and `ENOMEM`, after which the ring goes on.
    pub fn enter(&mut self, timeout: Option<Duration>) -> Result<(), Errno> {
        self.refill();
        // With requests still waiting, or completions that the kernel could not deliver, there is no time to sleep.
        let timeout = if self.waiting.is_empty() { timeout } else { Some(Duration::ZERO) };
        let submitter = self.uring.submitter();
        let result = match timeout {
            None => submitter.submit_and_wait(1),
            Some(duration) => {
                let timespec = types::Timespec::from(duration);
                submitter.submit_with_args(1, &types::SubmitArgs::new().timespec(&timespec))
            }
        };
        match result {
            Ok(_) => Ok(()),
            Err(error) => match errno(&error) {
                Errno::INTR | Errno::TIME | Errno::BUSY => Ok(()),
                // No memory for a request just now; asking again at once would only spin.
                Errno::AGAIN | Errno::NOMEM => {
                    std::thread::sleep(SHORTAGE);
                    Ok(())
                }
                errno => Err(errno),
            },
        }
    }

    /// The next completed request, if there is one.
    pub fn next_done(&mut self) -> Option<Done> {
        loop {
            let entry = self.uring.completion().next()?;
            self.under_way -= 1;
            if let Some(done) = self.interpret(&entry) {
                return Some(done);
            }
        }
    }

    fn interpret(&mut self, entry: &cqueue::Entry) -> Option<Done> {
        let (op, about, token) = unpack(entry.user_data());
        let result = match entry.result() {
            n if n >= 0 => Ok(n as usize),
            n => Err(Errno::from_raw_os_error(-n)),
        };
        let pool = self.pool.as_mut()?;
        Some(match op {
            Op::Poll => Done::Readable(token, result.map(drop)),
            Op::Recv => {
                let buffer = cqueue::buffer_select(entry.flags());
                Done::Received(token, result.map(|n| pool.filled(buffer, n)))
            }
            Op::Send => Done::Sent(token, result, pool.returned(about)),
            Op::Flush => {
                Done::Flushed(token, result, self.flushing.try_remove(about).unwrap_or_default())
            }
            Op::Cancel => return None,
        })
    }

    fn push(&mut self, entry: squeue::Entry, linked: Option<squeue::Entry>) {
        self.under_way += 1 + usize::from(linked.is_some());
        self.waiting.push_back((entry, linked));
        if self.waiting.len() == 1 {
            self.refill();
        }
    }

    /// Moves what waits into the submission queue, which a kernel that is short of room may not empty at once.
    fn refill(&mut self) {
        while let Some((entry, linked)) = self.waiting.front() {
            let needed = 1 + usize::from(linked.is_some());
            let queue = self.uring.submission();
            let full = queue.capacity() - queue.len() < needed;
            drop(queue);
            if full && self.uring.submit().is_err() {
                return;
            }
            let mut queue = self.uring.submission();
            if queue.capacity() - queue.len() < needed {
                return;
            }
            // SAFETY: the memory that a request names is the pool's or in `self.flushing`, both of which stay where
            // they are until the completion has been seen; `Drop` waits for that too. There is room for both entries.
            unsafe {
                let _ = queue.push(entry);
                if let Some(linked) = linked {
                    let _ = queue.push(linked);
                }
            }
            drop(queue);
            self.waiting.pop_front();
        }
    }
}

impl Drop for Ring {
    /// Cancels what is under way and waits for it: only then may the memory go.
    fn drop(&mut self) {
        self.under_way -=
            self.waiting.iter().map(|(_, linked)| 1 + usize::from(linked.is_some())).sum::<usize>();
        self.waiting.clear();
        if self.under_way > 0 {
            let all = types::CancelBuilder::any();
            self.push(
                opcode::AsyncCancel2::new(all).build().user_data(pack(Op::Cancel, 0, 0)),
                None,
            );
        }
        let deadline = Instant::now() + CANCEL_PATIENCE;
        while self.under_way > 0 && Instant::now() < deadline {
            let _ = self.enter(Some(Duration::from_millis(10)));
            while self.next_done().is_some() {}
        }
        if let Some(pool) = self.pool.take() {
            if self.under_way == 0 {
                pool.release(&self.uring);
            } else {
                // The kernel may still write there; memory that is lost is better than memory that is shared.
                std::mem::forget(pool);
                std::mem::forget(std::mem::take(&mut self.flushing));
            }
        }
    }
}

fn recv_entry(fd: RawFd, token: u32) -> squeue::Entry {
    opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), 0)
        .buf_group(pool::GROUP)
        .build()
        .flags(squeue::Flags::BUFFER_SELECT)
        .user_data(pack(Op::Recv, 0, token))
}

/// The best set of flags that this kernel accepts; each was added in a later version than the one after it.
fn set_up() -> io::Result<IoUring> {
    let attempts: [fn(&mut io_uring::Builder) -> &mut io_uring::Builder; 3] =
        [|b| b.setup_single_issuer().setup_defer_taskrun(), |b| b.setup_coop_taskrun(), |b| b];
    let mut refused = io::Error::from_raw_os_error(libc::ENOSYS);
    for flags in attempts {
        let mut builder = IoUring::builder();
        builder.dontfork().setup_clamp().setup_submit_all().setup_cqsize(COMPLETIONS);
        match flags(&mut builder).build(SUBMISSIONS) {
            Ok(uring) => return Ok(uring),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

fn check_operations(uring: &IoUring) -> Result<(), (&'static str, Errno)> {
    let mut probe = Probe::new();
    let probed = uring.submitter().register_probe(&mut probe);
    probed.map_err(|error| ("io_uring_register IORING_REGISTER_PROBE", errno(&error)))?;
    for (name, code) in [
        ("IORING_OP_RECV", opcode::Recv::CODE),
        ("IORING_OP_SEND", opcode::Send::CODE),
        ("IORING_OP_POLL_ADD", opcode::PollAdd::CODE),
        ("IORING_OP_ASYNC_CANCEL", opcode::AsyncCancel2::CODE),
    ] {
        if !probe.is_supported(code) {
            return Err((name, Errno::OPNOTSUPP));
        }
    }
    if uring.params().is_feature_ext_arg() && uring.params().is_feature_nodrop() {
        return Ok(());
    }
    Err(("io_uring_setup IORING_FEAT_EXT_ARG and NODROP", Errno::OPNOTSUPP))
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests;
