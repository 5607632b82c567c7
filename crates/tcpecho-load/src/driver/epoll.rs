//! Over readiness: one level-triggered epoll, one buffer, recv and send without waiting.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::{
    buffer::spare_capacity,
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
        poll,
    },
    io::Errno,
    net::{RecvFlags, SendFlags},
};
use tcpecho::Error;

use super::Driver;
use crate::{
    clock,
    pattern::TURN,
    stop::Stop,
    worker::{Stage, Worker},
};

/// Events taken at a time.
const BATCH: usize = 256;
/// The token of the descriptor that ends the run.
const STOP: u64 = u64::MAX;
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

pub(crate) struct Epoll {
    interests: OwnedFd,
    /// What is watched of each slot's socket.
    watched: Vec<EventFlags>,
    events: Vec<Event>,
    buffer: Vec<u8>,
}

impl Epoll {
    pub(crate) fn new(slots: usize, stop: &Stop) -> Result<Self, Error> {
        let fail = |op| move |errno| Error::new(op, errno);
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(fail("epoll_create1"))?;
        epoll::add(&epoll, stop.as_fd(), EventData::new_u64(STOP), EventFlags::IN)
            .map_err(fail("epoll_ctl"))?;
        Ok(Self {
            interests: epoll,
            watched: vec![EventFlags::empty(); slots],
            events: Vec::with_capacity(BATCH),
            buffer: vec![0; TURN],
        })
    }

    fn on_event(&mut self, worker: &mut Worker, slot: usize, ready: EventFlags) {
        if worker.slots[slot].stage == Stage::Connecting {
            return worker.look_at_handshake(self, slot);
        }
        if ready.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.pull(worker, slot);
        }
        if ready.contains(EventFlags::OUT) && worker.slots[slot].stage == Stage::Open {
            self.push(worker, slot, clock::now());
        }
    }

    /// Reads once. One clock call for all that came.
    fn pull(&mut self, worker: &mut Worker, slot: usize) {
        let Some(socket) = &worker.slots[slot].socket else { return };
        let read = rustix::net::recv(socket, self.buffer.as_mut_slice(), RecvFlags::empty());
        let now = clock::now();
        match read {
            Ok((0, _)) => worker.end_of_file(self, slot, now),
            Ok((count, _)) => {
                let taken = worker.take(slot, &self.buffer[..count], now);
                worker.follow_up(self, slot, taken, now);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => worker.broke(self, slot, "recv", errno),
        }
    }

    /// Writability is watched only while the socket has refused bytes.
    fn set_interest(&mut self, worker: &mut Worker, slot: usize, wanted: EventFlags) {
        if self.watched[slot] == wanted {
            return;
        }
        let Some(socket) = &worker.slots[slot].socket else { return };
        match epoll::modify(&self.interests, socket, EventData::new_u64(slot as u64), wanted) {
            Ok(()) => self.watched[slot] = wanted,
            Err(errno) => worker.broke(self, slot, "epoll_ctl", errno),
        }
    }
}

impl Driver for Epoll {
    fn watch(&mut self, slot: usize, handshake: BorrowedFd<'_>) -> Result<(), Errno> {
        epoll::add(&self.interests, handshake, EventData::new_u64(slot as u64), EventFlags::OUT)
    }

    fn begin(&mut self, slot: usize, socket: &Rc<OwnedFd>, watched: bool) -> Result<(), Errno> {
        self.watched[slot] = EventFlags::IN;
        let change = if watched { epoll::modify } else { epoll::add };
        change(
            self.interests.as_fd(),
            socket.as_fd(),
            EventData::new_u64(slot as u64),
            EventFlags::IN,
        )
    }

    /// Sends until the socket takes no more, or, of endless data, one turn's.
    fn push(&mut self, worker: &mut Worker, slot: usize, now: u64) {
        loop {
            let (length, rules) = (worker.ready(slot), worker.rules);
            let Some(socket) = &worker.slots[slot].socket else { return };
            if length == 0 {
                return self.set_interest(worker, slot, EventFlags::IN);
            }
            let endless = rules.profile.depth.is_none();
            let bytes = worker.slots[slot].flow.outgoing(length);
            match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    worker.slots[slot].flow.sent(count, now, &mut worker.tally);
                    if endless {
                        return self.set_interest(worker, slot, EventFlags::IN | EventFlags::OUT);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    return self.set_interest(worker, slot, EventFlags::IN | EventFlags::OUT);
                }
                Err(errno) => return worker.broke(self, slot, "send", errno),
            }
        }
    }

    /// Closing it takes it out of the epoll.
    fn release(&mut self, _line: usize, socket: Rc<OwnedFd>) {
        drop(socket);
    }

    fn is_free(&self, _line: usize) -> bool {
        true
    }

    fn turn(&mut self, worker: &mut Worker, until: u64) -> Result<(), Error> {
        let mut timeout = clock::until(clock::now(), until);
        if worker.rules.profile.schedule.is_some() && timeout != NOW {
            // epoll_wait(2) counts in milliseconds, ppoll(2) in nanoseconds. Its failures are
            // interruptions, after which there is nothing to wait for.
            let _ = poll(&mut [PollFd::new(&self.interests, PollFlags::IN)], Some(&timeout));
            timeout = NOW;
        }
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.interests, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("epoll_wait", errno)),
        }
        for event in &events {
            if event.data.u64() == STOP {
                // The hand looks for itself; the descriptor stays readable and would keep us awake.
                let _ = epoll::delete(&self.interests, worker.stop.as_fd());
            } else {
                self.on_event(worker, event.data.u64() as usize, event.flags);
            }
        }
        self.events = events;
        Ok(())
    }
}
