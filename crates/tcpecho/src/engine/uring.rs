//! One loop over completions (io_uring(7)).
//!
//! A connection has one receive under way, which holds no buffer until something has come, or one send with the next
//! receive linked behind it: an echo is one trip into the kernel, shared with whatever else is ready. A send that does not
//! fit at once returns its pool buffer and continues from memory of the connection, and nothing is received meanwhile: a
//! peer that does not read cannot empty the shared pool. Room in such a socket is waited
//! for by the acceptor's epoll, and not by a request in the ring, which can cost a kernel thread for each such peer
//! (`tcpecho_os::uring::Ring::flush`). The rules between completions are in [`connection`], which has neither ring nor
//! socket; this file carries out what they ask for.
//!
//! Connections come through the acceptor's epoll, which the ring polls, and not by accept in the ring: a ring can outlive
//! its process by a second, and a listener that it held would keep the port from the successor. (The same goes for
//! multishot requests: what ends by itself, on any error, has to be noticed.)

mod connection;

use std::{
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::{
    event::epoll::{self, EventData, EventFlags},
    io::Errno,
    net::{SendFlags, Shutdown, SocketFlags, send, shutdown},
};
use slab::Slab;
use tcpecho_os::{
    socket::{abort_echo, reset},
    sysctl,
    uring::{self, Chunk, Done, Ring},
};

use self::connection::{Buffers, Connection, OutOfMemory, Request};
use super::{
    Unavailable,
    timers::{Activity, Timers, Verdict},
};
use crate::{
    Ending, Error,
    acceptor::{Acceptor, BATCH, Context},
    lingering_close::LINGER,
    phase::Phase,
    session::{Outcome, Session},
    shared::Shared,
};

/// The token of the poll for the acceptor.
const ACCEPTOR: u32 = u32::MAX;
/// How long requests that were woken may take to complete at the very end.
const LETTING_GO: Duration = Duration::from_secs(1);
/// Bits of a token that are the slot's number; the others are its generation.
const SLOT_BITS: u32 = 24;
/// Connections that can be told apart. More than descriptors that a process can have by default (fs.nr_open).
const MOST_SLOTS: usize = 1 << SLOT_BITS;

/// One connection. Its requests share the descriptor, so that it is closed only when there are none.
struct Slot {
    session: Session,
    fd: Rc<OwnedFd>,
    /// When it last moved a byte, or since when it lingers, by the loop's clock.
    stamp: u32,
    generation: u8,
    connection: Connection<Chunk>,
    /// A flush that waits for room: the bytes, and from which offset on they are still to be sent.
    flush: Option<(Vec<u8>, usize)>,
    /// The epoll set knows the socket.
    watched: bool,
}

/// Names a slot and its user in a request. A completion whose generation is not the slot's was made for an earlier
/// connection.
fn token(key: usize, generation: u8) -> u32 {
    key as u32 | u32::from(generation) << SLOT_BITS
}

impl Buffers for Ring {
    type Chunk = Chunk;

    fn len(&self, chunk: &Chunk) -> usize {
        chunk.bytes().len()
    }

    fn tail(&self, chunk: &Chunk, from: usize) -> Result<Vec<u8>, OutOfMemory> {
        let rest = &chunk.bytes()[from..];
        let mut tail = Vec::new();
        tail.try_reserve_exact(rest.len()).map_err(|_| OutOfMemory)?;
        tail.extend_from_slice(rest);
        Ok(tail)
    }

    fn recycle(&mut self, chunk: Chunk) {
        drop(chunk);
    }
}

struct Loop {
    shared: Arc<Shared>,
    ring: Ring,
    acceptor: Acceptor,
    slots: Slab<Slot>,
    /// The generation that the next user of a slot gets.
    generations: Vec<u8>,
    /// Connections that are to receive after the completions at hand.
    later: Vec<usize>,
    /// Tokens of the connections whose sockets have room, kept for its memory.
    writable: Vec<u32>,
    /// The acceptor's epoll has events.
    epoll_ready: bool,
    timers: Timers,
    echoed: u64,
}

pub(super) fn probe() -> Result<(), Unavailable> {
    uring::probe().map_err(|(op, errno)| Unavailable { op, errno: errno.into(), hint: hint(errno) })
}

fn hint(errno: Errno) -> String {
    match sysctl::read("kernel.io_uring_disabled").as_deref() {
        Ok(value @ ("1" | "2")) => format!("kernel.io_uring_disabled={value}"),
        _ => match errno {
            Errno::PERM => "a seccomp filter or security module forbids it".into(),
            Errno::NOSYS => "the kernel was built without it, or a seccomp filter hides it".into(),
            Errno::NOMEM => {
                "no free memory, or the limit on locked memory is too low (ulimit -l)".into()
            }
            Errno::INVAL | Errno::OPNOTSUPP => "the kernel is too old for it".into(),
            _ => String::new(),
        },
    }
}

pub(super) fn run(context: Context) -> Result<(), Error> {
    let shared = Arc::clone(&context.shared);
    let ring = Ring::new().map_err(|(op, errno)| Error::new(op, errno))?;
    // Blocking sockets: a ring waits for them itself, and takes O_NONBLOCK as a wish not to wait.
    let acceptor = Acceptor::open(context, SocketFlags::empty())?;
    let mut this = Loop {
        timers: Timers::new(&shared),
        slots: super::slots(&shared),
        shared,
        ring,
        acceptor,
        generations: Vec::new(),
        later: Vec::new(),
        writable: Vec::new(),
        epoll_ready: false,
        echoed: 0,
    };
    this.ring.poll(this.acceptor.epoll(), ACCEPTOR);
    this.serve().inspect_err(|error| this.end_all(Outcome::of_loop(error)))
}

impl Loop {
    fn serve(&mut self) -> Result<(), Error> {
        loop {
            self.wait()?;
            self.timers.tick(self.acceptor.phase());
            self.take_completions();
            self.take_readiness()?;
            self.timers.tick(self.acceptor.phase());
            if self.timers.due() {
                self.run_timers();
            }
            self.count();
            if self.acceptor.phase() == Phase::Halted {
                return self.let_go();
            }
            if self.acceptor.closed() && self.slots.is_empty() {
                return Ok(());
            }
        }
    }

    /// Adds what was echoed to the server's count: once per turn, and before a session's end is told.
    fn count(&mut self) {
        if self.echoed > 0 {
            self.shared.stats.bytes().fetch_add(std::mem::take(&mut self.echoed), Relaxed);
        }
    }

    fn wait(&mut self) -> Result<(), Error> {
        let deadlines = [self.acceptor.deadline(), self.timers.deadline()];
        let deadline = deadlines.into_iter().flatten().min();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        self.ring.enter(timeout).map_err(|errno| Error::new("io_uring_enter", errno))
    }

    /// Flushes to the sockets that have room, and accepts.
    fn take_readiness(&mut self) -> Result<(), Error> {
        let acceptor = &mut self.acceptor;
        let paused_until_now =
            acceptor.deadline().is_some_and(|deadline| deadline <= Instant::now());
        if !self.epoll_ready && !paused_until_now {
            return Ok(());
        }
        let mut writable = std::mem::take(&mut self.writable);
        if self.epoll_ready {
            acceptor.wait(Some(Instant::now()), |token| writable.push(token as u32))?;
        }
        for token in writable.drain(..) {
            self.flush(token);
        }
        self.writable = writable;
        for _ in 0..BATCH {
            let Some((fd, session)) = self.acceptor.try_accept()? else { break };
            self.begin(fd, session);
        }
        if std::mem::take(&mut self.epoll_ready) {
            self.ring.poll(self.acceptor.epoll(), ACCEPTOR);
        }
        Ok(())
    }

    fn begin(&mut self, fd: OwnedFd, session: Session) {
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        if key >= MOST_SLOTS {
            return self.shared.close(fd, &session, Outcome::of(Ending::Limit));
        }
        if key >= self.generations.len() {
            self.generations.resize(key + 1, 0);
        }
        // Not the generation of the acceptor's token, which has all bits set.
        let generation = (self.generations[key] + 1) & 0x7f;
        self.generations[key] = generation;
        let stamp = self.timers.stamp();
        let (fd, connection) = (Rc::new(fd), Connection::new());
        let (flush, watched) = (None, false);
        entry.insert(Slot { session, fd, stamp, generation, connection, flush, watched });
        self.ask(key, Some(Request::Receive));
        self.timers.began();
    }

    /// Makes the request that a connection's rules ask for.
    fn ask(&mut self, key: usize, request: Option<Request<Chunk>>) {
        let slot = &mut self.slots[key];
        let (fd, token) = (&slot.fd, token(key, slot.generation));
        match request {
            None => self.reap(key),
            Some(Request::Receive) => self.ring.recv(fd, token),
            Some(Request::ReceiveLater) => self.later.push(key),
            Some(Request::SendThenReceive(chunk)) => self.ring.send(fd, chunk, token, true),
            Some(Request::Flush(pending, from)) => {
                slot.flush = Some((pending, from));
                self.watch(key);
            }
        }
    }

    /// Waits for room in a socket with a flush.
    fn watch(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        let data = EventData::new_u64(u64::from(token(key, slot.generation)));
        let flags = EventFlags::OUT | EventFlags::ONESHOT;
        let watch = if slot.watched { epoll::modify } else { epoll::add };
        match watch(self.acceptor.as_fd(), slot.fd.as_fd(), data, flags) {
            Ok(()) => slot.watched = true,
            Err(errno) => {
                slot.connection.close(&mut self.ring, Outcome::no_room("epoll_ctl", errno));
                self.cancel_flush(key);
            }
        }
    }

    /// Sends what fits of the bytes that waited for room.
    fn flush(&mut self, token: u32) {
        // An event for a connection that ended earlier in the same batch.
        let Some(key) = self.key_of(token) else { return };
        let slot = &mut self.slots[key];
        let Some((pending, from)) = slot.flush.take() else { return };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let result = send(&slot.fd, &pending[from..], flags);
        self.sent(key, result.unwrap_or(0));
        let connection = &mut self.slots[key].connection;
        let request = connection.flushed(&mut self.ring, result, pending);
        self.ask(key, request);
    }

    /// A flush of a connection that is over does not wait any longer.
    fn cancel_flush(&mut self, key: usize) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let Some((pending, _)) = slot.flush.take() else { return };
        let request = slot.connection.flushed(&mut self.ring, Err(Errno::CANCELED), pending);
        self.ask(key, request);
    }

    fn sent(&mut self, key: usize, bytes: usize) {
        let slot = &mut self.slots[key];
        if bytes > 0 && !slot.connection.is_lingering() {
            slot.stamp = self.timers.stamp();
        }
        slot.session.bytes += bytes as u64;
        self.echoed += bytes as u64;
    }

    fn take_completions(&mut self) {
        while let Some(done) = self.ring.next_done() {
            self.take(done);
        }
        // A slot with such a request is not reused before it has been made or dropped here.
        let mut later = std::mem::take(&mut self.later);
        for key in later.drain(..) {
            let request = self.slots[key].connection.receive_now();
            self.ask(key, request);
        }
        later.append(&mut self.later);
        self.later = later;
    }

    /// One completed request.
    fn take(&mut self, done: Done) {
        // Slots wait for their requests, so each completion finds its own.
        match done {
            Done::Received(token, result) => {
                let Some(key) = self.key_of(token) else { return };
                let slot = &mut self.slots[key];
                if let Ok(Some(chunk)) = &result
                    && !slot.connection.is_lingering()
                {
                    slot.stamp = self.timers.stamp();
                    slot.session.received += chunk.bytes().len() as u64;
                }
                let request = slot.connection.received(&mut self.ring, result);
                self.ask(key, request);
            }
            Done::Sent(token, result, chunk) => {
                let Some(key) = self.key_of(token) else { return };
                self.sent(key, result.unwrap_or(0));
                let request = self.slots[key].connection.sent(&mut self.ring, result, chunk);
                self.ask(key, request);
            }
            // Nothing but the acceptor is polled for, and no flush is made in the ring.
            Done::Readable(..) | Done::Flushed(..) => self.epoll_ready = true,
        }
    }

    /// Finds the slot that a token was made for, unless it has another user by now.
    fn key_of(&self, token: u32) -> Option<usize> {
        let key = token as usize & (MOST_SLOTS - 1);
        let generation = (token >> SLOT_BITS) as u8;
        self.slots.get(key).is_some_and(|slot| slot.generation == generation).then_some(key)
    }

    /// Closes a connection that has ended and that no request names any more.
    fn reap(&mut self, key: usize) {
        let Some(slot) = self.slots.get(key) else { return };
        let Some(outcome) = slot.connection.outcome() else {
            if slot.connection.is_closing() {
                // It failed with a request under way, which this wakes.
                reset(&slot.fd);
            }
            return;
        };
        let Slot { session, fd, .. } = self.slots.remove(key);
        self.count();
        self.shared.close(fd, &session, outcome);
    }

    fn run_timers(&mut self) {
        for key in 0..self.slots.capacity() {
            let Some(slot) = self.slots.get_mut(key) else { continue };
            let activity = if slot.connection.is_closing() {
                continue;
            } else if slot.connection.is_lingering() {
                Activity::Lingering(slot.stamp)
            } else if slot.connection.is_idle() {
                Activity::Idle
            } else {
                Activity::Flushing
            };
            match self.timers.judge(slot.fd.as_fd(), slot.stamp, &activity) {
                Verdict::Stay => {}
                Verdict::Linger(ending) => {
                    // If it fails, the connection is over and the receive under way will say so.
                    let _ = shutdown(&slot.fd, Shutdown::Write);
                    slot.connection.linger(ending);
                    slot.stamp = self.timers.stamp();
                    self.timers.look_in(LINGER);
                }
                Verdict::Abort(ending) => {
                    reset(&slot.fd);
                    slot.connection.close(&mut self.ring, Outcome::of(ending));
                    self.cancel_flush(key);
                }
                Verdict::Close => {
                    // Wakes the receive. What we sent is still on its way to the peer, so there is no abort.
                    let _ = shutdown(&slot.fd, Shutdown::Read);
                    slot.connection.close(&mut self.ring, Outcome::of(Ending::Draining));
                }
            }
        }
    }

    /// Ends every connection without waiting for its requests: the ring is about to go. One that is over keeps its own
    /// outcome.
    fn end_all(&mut self, outcome: Outcome) {
        self.count();
        for Slot { session, fd, connection, .. } in self.slots.drain() {
            self.shared.close(fd, &session, connection.reason().unwrap_or(outcome));
        }
    }

    fn abort_all(&self) {
        self.slots.iter().for_each(|(_, slot)| abort_echo(&slot.fd));
    }

    /// Wakes every request and waits for it, for no longer than [`LETTING_GO`].
    fn let_go(&mut self) -> Result<(), Error> {
        // Another loop may have failed.
        if let Some(failure) = self.shared.failure() {
            self.end_all(failure);
            return Ok(());
        }
        self.abort_all();
        for key in 0..self.slots.capacity() {
            let Some(slot) = self.slots.get_mut(key) else { continue };
            slot.connection.close(&mut self.ring, Outcome::of(Ending::Draining));
            self.cancel_flush(key);
        }
        let deadline = Instant::now() + LETTING_GO;
        while !self.slots.is_empty() && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            self.ring.enter(Some(left)).map_err(|errno| Error::new("io_uring_enter", errno))?;
            self.take_completions();
        }
        self.end_all(Outcome::of(Ending::Draining));
        Ok(())
    }
}

impl Drop for Loop {
    /// There are connections left if the loop panicked, that is, the observer.
    fn drop(&mut self) {
        self.count();
        self.abort_all();
    }
}
