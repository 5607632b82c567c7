//! Readiness: one level-triggered epoll, one buffer, recv and send without waiting.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::{
    buffer::spare_capacity,
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
        poll,
    },
    io::Errno,
    net::{RecvFlags, SendFlags},
};
use tcpecho::Error;

use super::{Driver, Event};
use crate::{clock, pattern::TURN, stop::Stop};

/// Events per epoll_wait(2).
const BATCH: usize = 256;
/// The token of the descriptor that ends the run.
const STOP: u64 = u64::MAX;
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

pub(crate) struct Epoll<'a> {
    interests: OwnedFd,
    stop: &'a Stop,
    slots: Vec<Slot>,
    /// What the last wait returned, and how much of it was taken.
    events: Vec<epoll::Event>,
    taken: usize,
    /// A slot that is also writable, once the event about its bytes was taken.
    writable: Option<usize>,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were received last.
    filled: usize,
}

struct Slot {
    /// None before the handshake has finished.
    socket: Option<Rc<OwnedFd>>,
    /// What is watched of it.
    watched: EventFlags,
}

impl<'a> Epoll<'a> {
    pub(crate) fn new(slots: usize, stop: &'a Stop) -> Result<Self, Error> {
        let fail = |op| move |errno| Error::new(op, errno);
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(fail("epoll_create1"))?;
        epoll::add(&epoll, stop.as_fd(), EventData::new_u64(STOP), EventFlags::IN)
            .map_err(fail("epoll_ctl"))?;
        let empty = || Slot { socket: None, watched: EventFlags::empty() };
        Ok(Self {
            interests: epoll,
            stop,
            slots: std::iter::repeat_with(empty).take(slots).collect(),
            events: Vec::with_capacity(BATCH),
            taken: 0,
            writable: None,
            buffer: vec![0; TURN],
            filled: 0,
        })
    }

    /// Receives once. Returns `None` if there was nothing.
    fn receive(&mut self, slot: usize) -> Option<Event> {
        let socket = self.slots[slot].socket.as_ref()?;
        match rustix::net::recv(socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((0, _)) => Some(Event::EndOfFile(slot)),
            Ok((count, _)) => {
                self.filled = count;
                Some(Event::Received(slot))
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(errno) => Some(Event::Failed(slot, "recv", errno)),
        }
    }
}

impl Driver for Epoll<'_> {
    fn watch(&mut self, slot: usize, handshake: BorrowedFd<'_>) -> Result<(), Errno> {
        epoll::add(&self.interests, handshake, EventData::new_u64(slot as u64), EventFlags::OUT)
    }

    fn attach(&mut self, slot: usize, socket: &Rc<OwnedFd>, watched: bool) -> Result<(), Errno> {
        self.slots[slot] = Slot { socket: Some(Rc::clone(socket)), watched: EventFlags::IN };
        let change = if watched { epoll::modify } else { epoll::add };
        change(
            self.interests.as_fd(),
            socket.as_fd(),
            EventData::new_u64(slot as u64),
            EventFlags::IN,
        )
    }

    fn received(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    fn send(&mut self, slot: usize, bytes: &[u8]) -> Result<usize, Errno> {
        let Some(socket) = &self.slots[slot].socket else { return Err(Errno::NOTCONN) };
        loop {
            match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    fn set_writable(&mut self, slot: usize, wanted: bool) -> Result<(), Errno> {
        let wanted = if wanted { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        let Slot { socket: Some(socket), watched } = &mut self.slots[slot] else { return Ok(()) };
        if *watched != wanted {
            let data = EventData::new_u64(slot as u64);
            epoll::modify(&self.interests, socket, data, wanted)?;
            *watched = wanted;
        }
        Ok(())
    }

    /// Closing it takes it out of the epoll.
    fn release(&mut self, slot: usize, socket: Rc<OwnedFd>) {
        self.slots[slot].socket = None;
        drop(socket);
    }

    fn is_free(&self, _slot: usize) -> bool {
        true
    }

    fn wait(&mut self, until: u64, precise: bool) -> Result<(), Error> {
        let mut timeout = clock::until(clock::now(), until);
        if precise && timeout != NOW {
            // epoll_wait(2) counts in milliseconds, ppoll(2) in nanoseconds. ppoll fails only when it is
            // interrupted, and then there is nothing to wait for.
            let _ = poll(&mut [PollFd::new(&self.interests, PollFlags::IN)], Some(&timeout));
            timeout = NOW;
        }
        self.events.clear();
        self.taken = 0;
        match epoll::wait(&self.interests, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(Error::new("epoll_wait", errno)),
        }
    }

    fn next_event(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(slot) = self.writable.take() {
                return Ok(Some(Event::Writable(slot)));
            }
            let Some(event) = self.events.get(self.taken) else { return Ok(None) };
            let (token, ready) = (event.data.u64(), event.flags);
            self.taken += 1;
            if token == STOP {
                // The worker looks at the flag. The descriptor stays readable and would end every wait.
                let _ = epoll::delete(&self.interests, self.stop.as_fd());
                continue;
            }
            let slot = token as usize;
            if self.slots[slot].socket.is_none() {
                return Ok(Some(Event::Handshake(slot)));
            }
            self.writable = ready.contains(EventFlags::OUT).then_some(slot);
            if ready.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR)
                && let Some(event) = self.receive(slot)
            {
                return Ok(Some(event));
            }
        }
    }
}
