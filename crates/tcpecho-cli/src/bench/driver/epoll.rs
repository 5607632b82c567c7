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
use crate::bench::{
    clock,
    hand::{Hand, Stage},
    news::Stop,
    pattern::TURN,
};

/// Events taken at a time.
const BATCH: usize = 256;
/// The token of the descriptor that ends the run.
const STOP: u64 = u64::MAX;
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

pub(in crate::bench) struct Epoll {
    interests: OwnedFd,
    /// What is watched of each line's socket.
    watched: Vec<EventFlags>,
    events: Vec<Event>,
    buffer: Vec<u8>,
}

impl Epoll {
    pub(in crate::bench) fn new(lines: usize, stop: &Stop) -> Result<Self, Error> {
        let fail = |op| move |errno| Error::new(op, errno);
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(fail("epoll_create1"))?;
        epoll::add(&epoll, stop.as_fd(), EventData::new_u64(STOP), EventFlags::IN)
            .map_err(fail("epoll_ctl"))?;
        Ok(Self {
            interests: epoll,
            watched: vec![EventFlags::empty(); lines],
            events: Vec::with_capacity(BATCH),
            buffer: vec![0; TURN],
        })
    }

    fn on_event(&mut self, hand: &mut Hand, line: usize, ready: EventFlags) {
        if hand.lines[line].stage == Stage::Connecting {
            return hand.look_at_handshake(self, line);
        }
        if ready.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.pull(hand, line);
        }
        if ready.contains(EventFlags::OUT) && hand.lines[line].stage == Stage::Open {
            self.push(hand, line, clock::now());
        }
    }

    /// Reads once. One clock call for all that came.
    fn pull(&mut self, hand: &mut Hand, line: usize) {
        let Some(socket) = &hand.lines[line].socket else { return };
        let read = rustix::net::recv(socket, self.buffer.as_mut_slice(), RecvFlags::empty());
        let now = clock::now();
        match read {
            Ok((0, _)) => hand.end_of_file(self, line, now),
            Ok((count, _)) => {
                let taken = hand.take(line, &self.buffer[..count], now);
                hand.follow_up(self, line, taken, now);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => hand.broke(self, line, "recv", errno),
        }
    }

    /// Writability is watched only while the socket has refused bytes.
    fn set_interest(&mut self, hand: &mut Hand, line: usize, wanted: EventFlags) {
        if self.watched[line] == wanted {
            return;
        }
        let Some(socket) = &hand.lines[line].socket else { return };
        match epoll::modify(&self.interests, socket, EventData::new_u64(line as u64), wanted) {
            Ok(()) => self.watched[line] = wanted,
            Err(errno) => hand.broke(self, line, "epoll_ctl", errno),
        }
    }
}

impl Driver for Epoll {
    fn watch(&mut self, line: usize, handshake: BorrowedFd<'_>) -> Result<(), Errno> {
        epoll::add(&self.interests, handshake, EventData::new_u64(line as u64), EventFlags::OUT)
    }

    fn begin(&mut self, line: usize, socket: &Rc<OwnedFd>, watched: bool) -> Result<(), Errno> {
        self.watched[line] = EventFlags::IN;
        let change = if watched { epoll::modify } else { epoll::add };
        change(
            self.interests.as_fd(),
            socket.as_fd(),
            EventData::new_u64(line as u64),
            EventFlags::IN,
        )
    }

    /// Sends until the socket takes no more, or, of endless data, one turn's.
    fn push(&mut self, hand: &mut Hand, line: usize, now: u64) {
        loop {
            let (length, rules) = (hand.ready(line), hand.rules);
            let Some(socket) = &hand.lines[line].socket else { return };
            if length == 0 {
                return self.set_interest(hand, line, EventFlags::IN);
            }
            let endless = rules.manner.depth.is_none();
            let bytes = hand.lines[line].flow.outgoing(&rules.manner, length);
            match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    hand.lines[line].flow.sent(count, now, &mut hand.tally);
                    if endless {
                        return self.set_interest(hand, line, EventFlags::IN | EventFlags::OUT);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    return self.set_interest(hand, line, EventFlags::IN | EventFlags::OUT);
                }
                Err(errno) => return hand.broke(self, line, "send", errno),
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

    fn turn(&mut self, hand: &mut Hand, until: u64) -> Result<(), Error> {
        let mut timeout = clock::until(clock::now(), until);
        if hand.rules.manner.pace.is_some() && timeout != NOW {
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
                let _ = epoll::delete(&self.interests, hand.stop.as_fd());
            } else {
                self.on_event(hand, event.data.u64() as usize, event.flags);
            }
        }
        self.events = events;
        Ok(())
    }
}
