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
use crate::bench::{
    clock,
    hand::{Hand, Stage},
    news::Stop,
};

/// The ring polls an epoll, which has what is not bytes: the end of handshakes, and the word to stop.
const EPOLL: u32 = u32::MAX;
const STOP: u64 = u64::MAX;

/// What is under way for a line.
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

pub(in crate::bench) struct Uring {
    ring: Ring,
    epoll: Rc<OwnedFd>,
    lines: Vec<Requests>,
    polling: bool,
}

impl Uring {
    pub(in crate::bench) fn new(lines: usize, stop: &Stop) -> Result<Self, Error> {
        let ring = Ring::new().map_err(|(op, errno)| Error::new(op, errno))?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|errno| Error::new("epoll_create1", errno))?;
        epoll::add(&epoll, stop.as_fd(), EventData::new_u64(STOP), EventFlags::IN)
            .map_err(|errno| Error::new("epoll_ctl", errno))?;
        let lines = std::iter::repeat_with(Requests::default).take(lines).collect();
        Ok(Self { ring, epoll: Rc::new(epoll), lines, polling: false })
    }

    fn receive(&mut self, hand: &Hand, line: usize) {
        let ready = matches!(hand.lines[line].stage, Stage::Open | Stage::Shut);
        if self.lines[line].receiving || self.leaves(line) || !ready {
            return;
        }
        if let Some(socket) = &hand.lines[line].socket {
            self.lines[line].receiving = true;
            self.ring.recv(socket, line as u32);
        }
    }

    /// Handshakes that are over.
    fn on_readiness(&mut self, hand: &mut Hand) -> Result<(), Error> {
        let mut events: Vec<Event> = Vec::with_capacity(128);
        let none = clock::until(0, 0);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&none)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("epoll_wait", errno)),
        }
        for event in events {
            if event.data.u64() == STOP {
                let _ = epoll::delete(&self.epoll, hand.stop.as_fd());
                continue;
            }
            let line = event.data.u64() as usize;
            hand.look_at_handshake(self, line);
        }
        Ok(())
    }

    fn on_done(&mut self, hand: &mut Hand, done: Done) -> Result<(), Error> {
        match done {
            Done::Readable(EPOLL, result) => {
                self.polling = false;
                result.map_err(|errno| Error::new("poll", errno))?;
                self.on_readiness(hand)?;
            }
            Done::Received(token, result) => self.on_received(hand, token as usize, result),
            Done::Flushed(token, result, memory) => {
                self.on_sent(hand, token as usize, result, memory);
            }
            // The ring makes no other requests here.
            Done::Readable(..) | Done::Sent(..) => {}
        }
        Ok(())
    }

    fn on_received(
        &mut self,
        hand: &mut Hand,
        line: usize,
        result: Result<Option<tcpecho_os::uring::Chunk>, Errno>,
    ) {
        self.lines[line].receiving = false;
        if self.leaves(line) {
            return self.let_go(hand, line);
        }
        let now = clock::now();
        match result {
            Ok(Some(chunk)) => {
                let taken = hand.take(line, chunk.bytes(), now);
                drop(chunk);
                hand.follow_up(self, line, taken, now);
                // Only now: what follows may be that this socket is done with.
                self.receive(hand, line);
            }
            Ok(None) => hand.end_of_file(self, line, now),
            Err(Errno::NOBUFS | Errno::INTR | Errno::AGAIN) => self.receive(hand, line),
            Err(errno) => hand.broke(self, line, "recv", errno),
        }
    }

    fn on_sent(
        &mut self,
        hand: &mut Hand,
        line: usize,
        result: Result<usize, Errno>,
        memory: Vec<u8>,
    ) {
        self.lines[line].sending = false;
        let sent = self.lines[line].sent + *result.as_ref().unwrap_or(&0);
        if let (Ok(_), false, Some(socket)) =
            (&result, self.leaves(line) || sent >= memory.len(), &hand.lines[line].socket)
        {
            self.lines[line].sending = true;
            self.lines[line].sent = sent;
            return self.ring.flush(socket, memory, sent, line as u32);
        }
        self.lines[line].spare = memory;
        if self.leaves(line) {
            return self.let_go(hand, line);
        }
        match result {
            Ok(_) => self.push(hand, line, clock::now()),
            Err(errno) => hand.broke(self, line, "send", errno),
        }
    }

    fn leaves(&self, line: usize) -> bool {
        self.lines[line].leaving.is_some()
    }

    /// Closes a socket that nothing is under way on any more, and lets its line go on.
    fn let_go(&mut self, hand: &mut Hand, line: usize) {
        let Requests { receiving, sending, leaving, .. } = &mut self.lines[line];
        if !*receiving && !*sending {
            *leaving = None;
            hand.advance(self, line, clock::now());
        }
    }
}

impl Driver for Uring {
    fn watch(&mut self, line: usize, handshake: BorrowedFd<'_>) -> Result<(), Errno> {
        epoll::add(&self.epoll, handshake, EventData::new_u64(line as u64), EventFlags::OUT)
    }

    fn begin(&mut self, line: usize, socket: &Rc<OwnedFd>, watched: bool) -> Result<(), Errno> {
        if watched {
            epoll::delete(&self.epoll, socket)?;
        }
        self.lines[line].receiving = true;
        self.ring.recv(socket, line as u32);
        Ok(())
    }

    fn push(&mut self, hand: &mut Hand, line: usize, now: u64) {
        let (length, rules) = (hand.ready(line), hand.rules);
        if length == 0 || self.lines[line].sending {
            return;
        }
        let Some(socket) = &hand.lines[line].socket else { return };
        let mut memory = std::mem::take(&mut self.lines[line].spare);
        memory.clear();
        memory.extend_from_slice(hand.lines[line].flow.outgoing(&rules.manner, length));
        self.lines[line].sending = true;
        self.lines[line].sent = 0;
        self.ring.flush(socket, memory, 0, line as u32);
        hand.lines[line].flow.sent(length, now, &mut hand.tally);
    }

    /// Shutting it down completes what is under way on it; until then it stays open.
    fn release(&mut self, line: usize, socket: Rc<OwnedFd>) {
        let requests = &mut self.lines[line];
        if requests.receiving || requests.sending {
            let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
            requests.leaving = Some(socket);
        }
    }

    fn is_free(&self, line: usize) -> bool {
        self.lines[line].leaving.is_none()
    }

    fn turn(&mut self, hand: &mut Hand, until: u64) -> Result<(), Error> {
        if !std::mem::replace(&mut self.polling, true) {
            self.ring.poll(&self.epoll, EPOLL);
        }
        let left = Duration::from_nanos(until.saturating_sub(clock::now()));
        self.ring.enter(Some(left)).map_err(|errno| Error::new("io_uring_enter", errno))?;
        while let Some(done) = self.ring.next_done() {
            self.on_done(hand, done)?;
        }
        Ok(())
    }
}
