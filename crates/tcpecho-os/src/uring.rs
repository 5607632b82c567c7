//! A thin safe ring: io_uring(7) for sockets, with the buffers inside.
//!
//! The kernel reads and writes memory, and looks up descriptors, long after a request was made. So the ring owns what a request
//! needs until its completion has been seen: a share of the descriptor (`Rc<OwnedFd>`), the [`Chunk`] or the bytes that it
//! sends, and the pool of equal buffers from which a receive takes one when it has something to put in it
//! (io_uring_register_buf_ring(3)). A filled buffer comes out as a `Chunk`, which gives it back when dropped; no buffer is
//! lent twice. Every request has exactly one completion: there is no multishot request that could end unnoticed.

mod pool;
mod probe;

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    rc::Rc,
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

/// A completed request, with the token that it was made with.
#[derive(Debug)]
pub enum Done {
    /// [`Ring::poll`]: the descriptor is readable, or the poll failed.
    Readable(u32, Result<(), Errno>),
    /// [`Ring::recv`]: the bytes received, `None` at end of file.
    Received(u32, Result<Option<Chunk>, Errno>),
    /// [`Ring::send`]: how many bytes of the chunk were sent, and the chunk.
    Sent(u32, Result<usize, Errno>, Chunk),
    /// [`Ring::flush`]: how many bytes were sent from the offset on, and all the bytes.
    Flushed(u32, Result<usize, Errno>, Vec<u8>),
}

/// A request that was made and not completed, and what the kernel needs for it.
struct Request {
    token: u32,
    kind: Kind,
    /// Open until the completion, so that the number means this file and no other.
    _descriptor: Rc<OwnedFd>,
}

enum Kind {
    Poll,
    Recv,
    /// The key of the chunk among those under way.
    Send(u32),
    /// The key of the bytes among those under way.
    Flush(u32),
}

/// The `user_data` of the request that cancels all others; those have their key among the requests.
const CANCEL: u64 = u64::MAX;

/// An io_uring instance with its buffers. It belongs to the thread that makes it (`IORING_SETUP_SINGLE_ISSUER`). A child of
/// [`fork_session`](crate::process::fork_session) that uses its copy ends with exit status 101.
pub struct Ring {
    uring: IoUring,
    pool: Rc<Pool>,
    requests: Slab<Request>,
    /// Chunks that are being sent.
    sending: Slab<Chunk>,
    /// Bytes that are being flushed.
    flushing: Slab<Vec<u8>>,
    /// Requests that found no room in the submission queue, a request and what is linked behind it.
    waiting: VecDeque<(squeue::Entry, Option<squeue::Entry>)>,
    /// Whether the request that cancels all others has not completed.
    cancelling: bool,
}

impl Ring {
    /// Makes a ring for the calling thread, with a pool of 256 buffers of [`BUFFER_SIZE`] bytes.
    ///
    /// Tries again for 100 ms where the kernel has no memory: it takes the pages of a ring from those that are free at this
    /// moment (alloc_pages_bulk in io_uring/memmap.c), and while much is read from disks there are few.
    ///
    /// # Errors
    /// As [`probe`], or `ENOMEM`.
    pub fn new() -> Result<Self, (&'static str, Errno)> {
        for _ in 0..20 {
            match Ring::try_new() {
                Err((_, Errno::NOMEM)) => std::thread::sleep(Duration::from_millis(5)),
                result => return result,
            }
        }
        Ring::try_new()
    }

    fn try_new() -> Result<Self, (&'static str, Errno)> {
        let uring = set_up().map_err(|error| ("io_uring_setup", errno(&error)))?;
        check_operations(&uring)?;
        Ok(Ring {
            pool: Pool::new(&uring, BUFFERS, BUFFER_SIZE)?,
            uring,
            requests: Slab::new(),
            sending: Slab::new(),
            flushing: Slab::new(),
            waiting: VecDeque::new(),
            cancelling: false,
        })
    }

    /// Completes once, when `fd` is readable.
    pub fn poll(&mut self, fd: &Rc<OwnedFd>, token: u32) {
        end_if_copied();
        let entry = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), libc::POLLIN as u32).build();
        let key = self.enter_request(fd, token, Kind::Poll);
        self.push(entry.user_data(key), None);
    }

    /// Receives at most one buffer from a socket. It holds no buffer until there is something to receive.
    pub fn recv(&mut self, fd: &Rc<OwnedFd>, token: u32) {
        end_if_copied();
        let entry = self.recv_entry(fd, token);
        self.push(entry, None);
    }

    /// Sends a chunk, as much as the socket takes without waiting; if that is all of it, and `then_recv`, receives again.
    /// Otherwise the receive completes with `ECANCELED`, before or after the send does, or is made all the same: kernels differ
    /// in whether a partial send breaks a link.
    pub fn send(&mut self, fd: &Rc<OwnedFd>, chunk: Chunk, token: u32, then_recv: bool) {
        end_if_copied();
        let (start, len) = (chunk.bytes().as_ptr(), chunk.bytes().len() as u32);
        let sent = self.sending.insert(chunk) as u32;
        let key = self.enter_request(fd, token, Kind::Send(sent));
        // MSG_WAITALL makes a short send break the link; MSG_DONTWAIT makes the buffer come back at once.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        let entry = opcode::Send::new(types::Fd(fd.as_raw_fd()), start, len)
            .flags(flags)
            .build()
            .user_data(key);
        if then_recv {
            let recv = self.recv_entry(fd, token);
            self.push(entry.flags(squeue::Flags::IO_LINK), Some(recv));
        } else {
            self.push(entry, None);
        }
    }

    /// Waits for room in the socket, then sends what fits of the bytes from offset `from` on, which may be only some.
    ///
    /// The send must not be whole: one with `MSG_WAITALL` may wait often, and after 128 waits the kernel gives it a worker
    /// thread to block in (`APOLL_MAX_RETRY` in io_uring/poll.c). The same happens once the peer has half-closed: the poll
    /// that the kernel waits with also reports `EPOLLRDHUP`, at once and each time. So a server, whose peers may half-close
    /// and not read, waits for room by epoll(7), which a ring can poll.
    pub fn flush(&mut self, fd: &Rc<OwnedFd>, bytes: Vec<u8>, from: usize, token: u32) {
        end_if_copied();
        let rest = bytes.get(from..).unwrap_or_default();
        let (start, len) = (rest.as_ptr(), rest.len() as u32);
        let flushed = self.flushing.insert(bytes) as u32;
        let key = self.enter_request(fd, token, Kind::Flush(flushed));
        let entry = opcode::Send::new(types::Fd(fd.as_raw_fd()), start, len)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data(key);
        self.push(entry, None);
    }

    /// Submits the requests made so far and waits until one has completed or `timeout` has passed; `None` waits for ever.
    ///
    /// # Errors
    /// io_uring_enter(2), but for `EINTR`, `ETIME`, `EBUSY`, `EAGAIN` and `ENOMEM`, after which the ring goes on.
    pub fn enter(&mut self, timeout: Option<Duration>) -> Result<(), Errno> {
        end_if_copied();
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

    /// Returns the next completed request, if there is one.
    pub fn next_done(&mut self) -> Option<Done> {
        end_if_copied();
        loop {
            let entry = self.uring.completion().next()?;
            if let Some(done) = self.interpret(&entry) {
                return Some(done);
            }
        }
    }

    fn interpret(&mut self, entry: &cqueue::Entry) -> Option<Done> {
        if entry.user_data() == CANCEL {
            self.cancelling = false;
            return None;
        }
        let Request { token, kind, .. } = self.requests.try_remove(entry.user_data() as usize)?;
        let result = match entry.result() {
            n if n >= 0 => Ok(n as usize),
            n => Err(Errno::from_raw_os_error(-n)),
        };
        Some(match kind {
            Kind::Poll => Done::Readable(token, result.map(drop)),
            Kind::Recv => {
                let buffer = cqueue::buffer_select(entry.flags());
                Done::Received(token, result.map(|n| self.pool.filled(buffer, n)))
            }
            Kind::Send(key) => Done::Sent(token, result, self.sending.try_remove(key as usize)?),
            Kind::Flush(key) => {
                Done::Flushed(token, result, self.flushing.try_remove(key as usize)?)
            }
        })
    }

    fn recv_entry(&mut self, fd: &Rc<OwnedFd>, token: u32) -> squeue::Entry {
        let key = self.enter_request(fd, token, Kind::Recv);
        recv_entry(fd.as_raw_fd()).user_data(key)
    }

    /// Takes what the request needs into the ring's own hands. Returns its `user_data`.
    fn enter_request(&mut self, fd: &Rc<OwnedFd>, token: u32, kind: Kind) -> u64 {
        self.requests.insert(Request { token, kind, _descriptor: Rc::clone(fd) }) as u64
    }

    fn push(&mut self, entry: squeue::Entry, linked: Option<squeue::Entry>) {
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
            // SAFETY: the descriptor that an entry names is in `self.requests`, and its memory is the pool's, in
            // `self.sending` or in `self.flushing`. All stay as they are until the completion has been seen; `Drop` waits for
            // that too, or leaks them. There is room for both entries.
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

    /// Forgets the requests that the kernel has not been given.
    fn drop_waiting(&mut self) {
        for (entry, linked) in std::mem::take(&mut self.waiting) {
            for entry in [Some(entry), linked].into_iter().flatten() {
                self.requests.try_remove(entry.get_user_data() as usize);
            }
        }
    }

    fn is_busy(&self) -> bool {
        self.cancelling || !self.requests.is_empty()
    }
}

impl Drop for Ring {
    /// Cancels the requests that are under way and waits for their completions: only then may their memory go.
    fn drop(&mut self) {
        end_if_copied();
        self.drop_waiting();
        if self.is_busy() {
            self.cancelling = true;
            let all = types::CancelBuilder::any();
            self.push(opcode::AsyncCancel2::new(all).build().user_data(CANCEL), None);
        }
        let deadline = Instant::now() + CANCEL_PATIENCE;
        while self.is_busy() && Instant::now() < deadline {
            let _ = self.enter(Some(Duration::from_millis(10)));
            while self.next_done().is_some() {}
        }
        if self.is_busy() {
            // The kernel may still use them; memory that is lost is better than memory that is shared.
            std::mem::forget(Rc::clone(&self.pool));
            std::mem::forget(std::mem::take(&mut self.requests));
            std::mem::forget(std::mem::take(&mut self.sending));
            std::mem::forget(std::mem::take(&mut self.flushing));
        } else {
            Rc::clone(&self.pool).unregister(&self.uring);
        }
    }
}

/// Ends a child of [`fork_session`](crate::process::fork_session). It has a copy of the ring, but neither its descriptor nor
/// the memory of its queues (MADV_DONTFORK): other memory may be there by now.
fn end_if_copied() {
    if crate::process::is_session() {
        crate::fork::exit_now(crate::fork::PANICKED);
    }
}

fn recv_entry(fd: RawFd) -> squeue::Entry {
    opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), 0)
        .buf_group(pool::GROUP)
        .build()
        .flags(squeue::Flags::BUFFER_SELECT)
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
