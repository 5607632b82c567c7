//! Completions: `io_uring`, with one receive and one send under way for each connection.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    io::Errno,
};
use tcpecho::Error;
use tcpecho_os::uring::{Chunk, Done, Ring};

use super::{Driver, Event};
use crate::{clock, stop::Stop};

/// The token of the epoll that the ring polls. The epoll has handshakes and the descriptor that ends the run.
const EPOLL: u32 = u32::MAX;
const STOP: u64 = u64::MAX;
/// Handshakes per epoll_wait(2).
const BATCH: usize = 128;

/// What is under way for a slot.
#[derive(Default)]
struct Slot {
    /// None before the handshake has finished and after the release.
    socket: Option<Rc<OwnedFd>>,
    receiving: bool,
    sending: bool,
    /// Memory of the next send, kept to save an allocation.
    spare: Vec<u8>,
    /// How many bytes of the send under way were sent by an earlier request.
    sent: usize,
    /// A released socket, until its last request has completed.
    leaving: Option<Rc<OwnedFd>>,
}

pub(crate) struct Uring<'a> {
    ring: Ring,
    epoll: Rc<OwnedFd>,
    stop: &'a Stop,
    slots: Vec<Slot>,
    /// Whether the ring polls the epoll.
    polling: bool,
    /// Handshakes that may have finished.
    handshakes: VecDeque<usize>,
    /// The bytes received last, and their slot, which receives again when the worker has seen them.
    received: Option<(usize, Chunk)>,
}

impl<'a> Uring<'a> {
    pub(crate) fn new(slots: usize, stop: &'a Stop) -> Result<Self, Error> {
        let ring = Ring::new().map_err(|(op, errno)| Error::new(op, errno))?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|errno| Error::new("epoll_create1", errno))?;
        epoll::add(&epoll, stop.as_fd(), EventData::new_u64(STOP), EventFlags::IN)
            .map_err(|errno| Error::new("epoll_ctl", errno))?;
        Ok(Self {
            ring,
            epoll: Rc::new(epoll),
            stop,
            slots: std::iter::repeat_with(Slot::default).take(slots).collect(),
            polling: false,
            handshakes: VecDeque::new(),
            received: None,
        })
    }

    fn receive(&mut self, slot: usize) {
        let Slot { socket: Some(socket), receiving, .. } = &mut self.slots[slot] else { return };
        if !std::mem::replace(receiving, true) {
            self.ring.recv(socket, slot as u32);
        }
    }

    /// Looks for handshakes.
    fn on_readiness(&mut self) -> Result<(), Error> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(BATCH);
        let none = clock::until(0, 0);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&none)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("epoll_wait", errno)),
        }
        for event in events {
            if event.data.u64() == STOP {
                // The worker looks at the flag. The descriptor stays readable and would end every wait.
                let _ = epoll::delete(&self.epoll, self.stop.as_fd());
            } else {
                self.handshakes.push_back(event.data.u64() as usize);
            }
        }
        Ok(())
    }

    fn on_received(&mut self, slot: usize, result: Result<Option<Chunk>, Errno>) -> Option<Event> {
        self.slots[slot].receiving = false;
        if self.slots[slot].leaving.is_some() {
            return self.let_go(slot);
        }
        match result {
            Ok(Some(chunk)) => {
                self.received = Some((slot, chunk));
                Some(Event::Received(slot))
            }
            Ok(None) => Some(Event::EndOfFile(slot)),
            Err(Errno::NOBUFS | Errno::INTR | Errno::AGAIN) => {
                self.receive(slot);
                None
            }
            Err(errno) => Some(Event::Failed(slot, "recv", errno)),
        }
    }

    fn on_sent(
        &mut self,
        slot: usize,
        result: Result<usize, Errno>,
        memory: Vec<u8>,
    ) -> Option<Event> {
        let requests = &mut self.slots[slot];
        requests.sending = false;
        if let (Ok(count), Some(socket)) = (result, &requests.socket) {
            requests.sent += count;
            if requests.sent < memory.len() {
                requests.sending = true;
                self.ring.flush(socket, memory, requests.sent, slot as u32);
                return None;
            }
        }
        requests.spare = memory;
        if requests.leaving.is_some() {
            return self.let_go(slot);
        }
        Some(match result {
            Ok(_) => Event::Writable(slot),
            Err(errno) => Event::Failed(slot, "send", errno),
        })
    }

    /// Closes a released socket once no request on it is under way.
    fn let_go(&mut self, slot: usize) -> Option<Event> {
        let Slot { receiving, sending, leaving, .. } = &mut self.slots[slot];
        if *receiving || *sending {
            return None;
        }
        *leaving = None;
        Some(Event::Free(slot))
    }
}

impl Driver for Uring<'_> {
    fn watch(&mut self, slot: usize, handshake: BorrowedFd<'_>) -> Result<(), Errno> {
        epoll::add(&self.epoll, handshake, EventData::new_u64(slot as u64), EventFlags::OUT)
    }

    fn attach(&mut self, slot: usize, socket: &Rc<OwnedFd>, watched: bool) -> Result<(), Errno> {
        if watched {
            epoll::delete(&self.epoll, socket)?;
        }
        self.slots[slot].socket = Some(Rc::clone(socket));
        self.receive(slot);
        Ok(())
    }

    fn received(&self) -> &[u8] {
        self.received.as_ref().map_or(&[], |(_, chunk)| chunk.bytes())
    }

    /// The bytes are copied: the ring owns them until the request has completed.
    fn send(&mut self, slot: usize, bytes: &[u8]) -> Result<usize, Errno> {
        let requests = &mut self.slots[slot];
        let Some(socket) = &requests.socket else { return Err(Errno::NOTCONN) };
        if requests.sending {
            return Err(Errno::AGAIN);
        }
        let mut memory = std::mem::take(&mut requests.spare);
        memory.clear();
        memory.extend_from_slice(bytes);
        requests.sending = true;
        requests.sent = 0;
        self.ring.flush(socket, memory, 0, slot as u32);
        Ok(bytes.len())
    }

    /// The completion of a send says so.
    fn set_writable(&mut self, _slot: usize, _wanted: bool) -> Result<(), Errno> {
        Ok(())
    }

    /// Shutting it down completes the requests on it. It stays open until then.
    fn release(&mut self, slot: usize, socket: Rc<OwnedFd>) {
        let requests = &mut self.slots[slot];
        requests.socket = None;
        if requests.receiving || requests.sending {
            let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
            requests.leaving = Some(socket);
        }
    }

    fn is_free(&self, slot: usize) -> bool {
        self.slots[slot].leaving.is_none()
    }

    /// The ring waits precisely in any case.
    fn wait(&mut self, until: u64, _precise: bool) -> Result<(), Error> {
        if !std::mem::replace(&mut self.polling, true) {
            self.ring.poll(&self.epoll, EPOLL);
        }
        let left = Duration::from_nanos(until.saturating_sub(clock::now()));
        self.ring.enter(Some(left)).map_err(|errno| Error::new("io_uring_enter", errno))?;
        Ok(())
    }

    fn next_event(&mut self) -> Result<Option<Event>, Error> {
        if let Some((slot, chunk)) = self.received.take() {
            drop(chunk);
            // Only now: the worker may have released the socket after it had seen the bytes.
            self.receive(slot);
        }
        loop {
            if let Some(slot) = self.handshakes.pop_front() {
                return Ok(Some(Event::Handshake(slot)));
            }
            let Some(done) = self.ring.next_done() else { return Ok(None) };
            let event = match done {
                Done::Readable(EPOLL, result) => {
                    self.polling = false;
                    result.map_err(|errno| Error::new("poll", errno))?;
                    self.on_readiness()?;
                    None
                }
                Done::Received(token, result) => self.on_received(token as usize, result),
                Done::Flushed(token, result, memory) => {
                    self.on_sent(token as usize, result, memory)
                }
                // The ring makes no other requests here.
                Done::Readable(..) | Done::Sent(..) => None,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }
}
