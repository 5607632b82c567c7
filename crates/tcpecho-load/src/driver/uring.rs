//! Over completions: io_uring, one receive and one send under way for each connection.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    io::Errno,
};
use tcpecho::Error;
use tcpecho_os::uring::{Done, Ring};

use super::Driver;
use crate::{
    clock,
    stop::Stop,
    worker::{Stage, Worker},
};

/// The ring polls an epoll, which has what is not bytes: the end of handshakes, and the word to stop.
const EPOLL: u32 = u32::MAX;
const STOP: u64 = u64::MAX;

/// What is under way for a slot.
#[derive(Default)]
struct Requests {
    receiving: bool,
    sending: bool,
    /// Memory for the next send, kept so that none is allocated.
    spare: Vec<u8>,
    /// How much of the send under way went out before.
    sent: usize,
    /// A socket that is done with, until its last request has completed.
    leaving: Option<Rc<OwnedFd>>,
}

pub(crate) struct Uring {
    ring: Ring,
    epoll: Rc<OwnedFd>,
    slots: Vec<Requests>,
    polling: bool,
}

impl Uring {
    pub(crate) fn new(slots: usize, stop: &Stop) -> Result<Self, Error> {
        let ring = Ring::new().map_err(|(op, errno)| Error::new(op, errno))?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|errno| Error::new("epoll_create1", errno))?;
        epoll::add(&epoll, stop.as_fd(), EventData::new_u64(STOP), EventFlags::IN)
            .map_err(|errno| Error::new("epoll_ctl", errno))?;
        let slots = std::iter::repeat_with(Requests::default).take(slots).collect();
        Ok(Self { ring, epoll: Rc::new(epoll), slots, polling: false })
    }

    fn receive(&mut self, worker: &Worker, slot: usize) {
        let ready = matches!(worker.slots[slot].stage, Stage::Open | Stage::Shut);
        if self.slots[slot].receiving || self.leaves(slot) || !ready {
            return;
        }
        if let Some(socket) = &worker.slots[slot].socket {
            self.slots[slot].receiving = true;
            self.ring.recv(socket, slot as u32);
        }
    }

    /// Handshakes that are over.
    fn on_readiness(&mut self, worker: &mut Worker) -> Result<(), Error> {
        let mut events: Vec<Event> = Vec::with_capacity(128);
        let none = clock::until(0, 0);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&none)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("epoll_wait", errno)),
        }
        for event in events {
            if event.data.u64() == STOP {
                let _ = epoll::delete(&self.epoll, worker.stop.as_fd());
                continue;
            }
            let slot = event.data.u64() as usize;
            worker.look_at_handshake(self, slot);
        }
        Ok(())
    }

    fn on_done(&mut self, worker: &mut Worker, done: Done) -> Result<(), Error> {
        match done {
            Done::Readable(EPOLL, result) => {
                self.polling = false;
                result.map_err(|errno| Error::new("poll", errno))?;
                self.on_readiness(worker)?;
            }
            Done::Received(token, result) => self.on_received(worker, token as usize, result),
            Done::Flushed(token, result, memory) => {
                self.on_sent(worker, token as usize, result, memory);
            }
            // The ring makes no other requests here.
            Done::Readable(..) | Done::Sent(..) => {}
        }
        Ok(())
    }

    fn on_received(
        &mut self,
        worker: &mut Worker,
        slot: usize,
        result: Result<Option<tcpecho_os::uring::Chunk>, Errno>,
    ) {
        self.slots[slot].receiving = false;
        if self.leaves(slot) {
            return self.let_go(worker, slot);
        }
        let now = clock::now();
        match result {
            Ok(Some(chunk)) => {
                let taken = worker.take(slot, chunk.bytes(), now);
                drop(chunk);
                worker.follow_up(self, slot, taken, now);
                // Only now: what follows may be that this socket is done with.
                self.receive(worker, slot);
            }
            Ok(None) => worker.end_of_file(self, slot, now),
            Err(Errno::NOBUFS | Errno::INTR | Errno::AGAIN) => self.receive(worker, slot),
            Err(errno) => worker.broke(self, slot, "recv", errno),
        }
    }

    fn on_sent(
        &mut self,
        worker: &mut Worker,
        slot: usize,
        result: Result<usize, Errno>,
        memory: Vec<u8>,
    ) {
        self.slots[slot].sending = false;
        let sent = self.slots[slot].sent + *result.as_ref().unwrap_or(&0);
        if let (Ok(_), false, Some(socket)) =
            (&result, self.leaves(slot) || sent >= memory.len(), &worker.slots[slot].socket)
        {
            self.slots[slot].sending = true;
            self.slots[slot].sent = sent;
            return self.ring.flush(socket, memory, sent, slot as u32);
        }
        self.slots[slot].spare = memory;
        if self.leaves(slot) {
            return self.let_go(worker, slot);
        }
        match result {
            Ok(_) => self.push(worker, slot, clock::now()),
            Err(errno) => worker.broke(self, slot, "send", errno),
        }
    }

    fn leaves(&self, slot: usize) -> bool {
        self.slots[slot].leaving.is_some()
    }

    /// Closes a socket that nothing is under way on any more, and lets its slot go on.
    fn let_go(&mut self, worker: &mut Worker, slot: usize) {
        let Requests { receiving, sending, leaving, .. } = &mut self.slots[slot];
        if !*receiving && !*sending {
            *leaving = None;
            worker.advance(self, slot, clock::now());
        }
    }
}

impl Driver for Uring {
    fn watch(&mut self, slot: usize, handshake: BorrowedFd<'_>) -> Result<(), Errno> {
        epoll::add(&self.epoll, handshake, EventData::new_u64(slot as u64), EventFlags::OUT)
    }

    fn begin(&mut self, slot: usize, socket: &Rc<OwnedFd>, watched: bool) -> Result<(), Errno> {
        if watched {
            epoll::delete(&self.epoll, socket)?;
        }
        self.slots[slot].receiving = true;
        self.ring.recv(socket, slot as u32);
        Ok(())
    }

    fn push(&mut self, worker: &mut Worker, slot: usize, now: u64) {
        let length = worker.ready(slot);
        if length == 0 || self.slots[slot].sending {
            return;
        }
        let Some(socket) = &worker.slots[slot].socket else { return };
        let mut memory = std::mem::take(&mut self.slots[slot].spare);
        memory.clear();
        memory.extend_from_slice(worker.slots[slot].flow.outgoing(length));
        self.slots[slot].sending = true;
        self.slots[slot].sent = 0;
        self.ring.flush(socket, memory, 0, slot as u32);
        worker.slots[slot].flow.sent(length, now, &mut worker.tally);
    }

    /// Shutting it down completes what is under way on it; until then it stays open.
    fn release(&mut self, slot: usize, socket: Rc<OwnedFd>) {
        let requests = &mut self.slots[slot];
        if requests.receiving || requests.sending {
            let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
            requests.leaving = Some(socket);
        }
    }

    fn is_free(&self, slot: usize) -> bool {
        self.slots[slot].leaving.is_none()
    }

    fn turn(&mut self, worker: &mut Worker, until: u64) -> Result<(), Error> {
        if !std::mem::replace(&mut self.polling, true) {
            self.ring.poll(&self.epoll, EPOLL);
        }
        let left = Duration::from_nanos(until.saturating_sub(clock::now()));
        self.ring.enter(Some(left)).map_err(|errno| Error::new("io_uring_enter", errno))?;
        while let Some(done) = self.ring.next_done() {
            self.on_done(worker, done)?;
        }
        Ok(())
    }
}
