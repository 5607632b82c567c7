//! The life of one connection under load: made, used, ended one way or another, made again.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{Shutdown, sockopt},
};
use tcpecho::{ConnectOptions, Ending, Handshake, Progress, words};

use super::{After, PAUSE, Phase, Worker};
use crate::{
    clock,
    driver::Driver,
    flow::{Flow, Mismatch},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No socket.
    Absent,
    Connecting,
    Open,
    /// Our FIN is sent.
    Shut,
}

/// A flow and its present socket.
pub(crate) struct ConnSlot {
    pub(crate) flow: Flow,
    pub(crate) stage: Stage,
    /// Until there is a connection.
    pub(crate) handshake: Option<Handshake>,
    pub(crate) socket: Option<Rc<OwnedFd>>,
    /// Where its present connection goes.
    pub(crate) addr: SocketAddr,
    /// When its present connection was begun.
    pub(crate) since: u64,
}

impl Worker<'_> {
    /// Begins and sends what the slot may.
    pub(crate) fn advance(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        // What was due in time may still be sent when the time is over.
        let late = self.phase == Phase::Draining && self.rules.profile.schedule.is_some();
        if self.phase != Phase::Running && !late {
            return;
        }
        let slot = &mut self.slots[index];
        match slot.stage {
            Stage::Open => {
                slot.flow.begin(&self.rules.profile, now, &mut self.budget);
                if slot.flow.ready(&self.rules.profile) > 0 {
                    driver.push(self, index, now);
                }
            }
            Stage::Absent if self.rules.after != After::Stays && driver.is_free(index) => {
                if self.waiting.iter().any(|(_, other)| *other == index) {
                    return;
                }
                let before = slot.flow.begun;
                slot.flow.begin(&self.rules.profile, now, &mut self.budget);
                if slot.flow.begun > before {
                    self.open(driver, index, now);
                }
            }
            _ => {}
        }
    }

    /// Whether the slot has anything to send, as far as it has been begun.
    pub(crate) fn ready(&self, index: usize) -> usize {
        let slot = &self.slots[index];
        let stream = self.rules.profile.depth.is_none();
        match slot.stage {
            Stage::Open if !stream || self.phase == Phase::Running => {
                slot.flow.ready(&self.rules.profile)
            }
            _ => 0,
        }
    }

    /// Makes the slot's next connection.
    pub(crate) fn open(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        let number = self.slots[index].flow.number;
        let sources = &self.rules.sources;
        let source = sources.get(number as usize % sources.len().max(1)).copied();
        let addr = self.rules.address.get();
        let slot = &mut self.slots[index];
        slot.addr = addr;
        slot.since = now;
        let options = ConnectOptions { source, evidence: false, ..ConnectOptions::default() };
        match Handshake::start(addr, &options) {
            Ok(handshake) => {
                slot.stage = Stage::Connecting;
                self.connecting += 1;
                // On loopback connect(2) mostly returns with the connection.
                if handshake.is_established() {
                    slot.handshake = Some(handshake);
                    return self.look_at_handshake(driver, index);
                }
                let watched = driver.watch(index, handshake.as_fd());
                slot.handshake = Some(handshake);
                if let Err(errno) = watched {
                    self.broke(driver, index, "epoll_ctl", errno);
                }
            }
            Err(failed) => {
                self.ended(driver, index, failed.ending, || failed.error.to_string());
            }
        }
    }

    /// Takes the result of the slot's handshake, if there is one.
    pub(crate) fn look_at_handshake(&mut self, driver: &mut impl Driver, index: usize) {
        let slot = &mut self.slots[index];
        let Some(handshake) = slot.handshake.take() else { return };
        let watched = !handshake.is_established();
        match handshake.on_ready(Instant::now()) {
            Progress::Pending(handshake) => slot.handshake = Some(handshake),
            Progress::Failed(failed) => {
                self.ended(driver, index, failed.ending, || failed.error.to_string());
            }
            Progress::Connected(connection) => {
                let socket = Rc::new(OwnedFd::from(connection));
                let begun = driver.begin(index, &socket, watched);
                slot.socket = Some(socket);
                match begun {
                    Ok(()) => self.connected(driver, index, clock::now()),
                    Err(errno) => self.broke(driver, index, "epoll_ctl", errno),
                }
            }
        }
    }

    /// There is a connection.
    fn connected(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        self.notice_pause(now);
        let slot = &mut self.slots[index];
        slot.stage = Stage::Open;
        self.connecting -= 1;
        self.tally.connections += 1;
        if slot.since >= self.resumed {
            self.tally.connect.record(now - slot.since);
        }
        if self.rules.idle {
            slot.flow.begin(&self.rules.profile, now, &mut 1);
        } else if self.rules.after == After::Stays {
            self.advance(driver, index, now);
            return;
        }
        if self.ready(index) > 0 {
            driver.push(self, index, now);
        }
    }

    /// Takes note of bytes that came back; what follows from it is [`Worker::follow_up`]'s, once the
    /// driver has its buffer back.
    pub(crate) fn take(&mut self, index: usize, back: &[u8], now: u64) -> Result<u64, Mismatch> {
        self.notice_pause(now);
        self.progress = now;
        let moment = self.moment(now);
        self.slots[index].flow.received(back, &self.rules.profile, moment, &mut self.tally)
    }

    /// What follows from bytes that came back.
    pub(crate) fn follow_up(
        &mut self,
        driver: &mut impl Driver,
        index: usize,
        taken: Result<u64, Mismatch>,
        now: u64,
    ) {
        match taken {
            Err(Mismatch(sentence)) => self.ended(driver, index, Ending::Mismatch, || sentence),
            Ok(0) => {}
            Ok(_) if self.rules.after == After::Stays => self.advance(driver, index, now),
            Ok(_) => self.exchanged(driver, index, now),
        }
    }

    /// A connection for one exchange has had it.
    fn exchanged(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        if self.rules.after == After::Closes {
            return self.shut(driver, index);
        }
        self.close(driver, index, true);
        self.advance(driver, index, now);
    }

    pub(crate) fn shut(&mut self, driver: &mut impl Driver, index: usize) {
        let slot = &mut self.slots[index];
        slot.stage = Stage::Shut;
        let failed = slot
            .socket
            .as_ref()
            .and_then(|socket| rustix::net::shutdown(socket, Shutdown::Write).err());
        if let Some(errno) = failed {
            self.broke(driver, index, "shutdown", errno);
        }
    }

    /// The peer's FIN came.
    pub(crate) fn end_of_file(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        if self.slots[index].stage == Stage::Shut {
            self.tally.ended(Ending::Finished, String::new);
            self.close(driver, index, false);
            return self.advance(driver, index, now);
        }
        let Flow { sent, received, .. } = self.slots[index].flow;
        let addr = self.slots[index].addr;
        self.ended(driver, index, Ending::ClosedEarly, || match sent {
            0 => format!("recv {addr}: end of file; nothing had been sent"),
            _ => format!("recv {addr}: end of file; {received} of {sent} bytes had come back"),
        });
    }

    /// A call on the slot's socket failed.
    pub(crate) fn broke(
        &mut self,
        driver: &mut impl Driver,
        index: usize,
        op: &'static str,
        errno: Errno,
    ) {
        let connecting = self.slots[index].stage == Stage::Connecting;
        let ending =
            if connecting { Ending::of_connect(errno) } else { Ending::of_established(errno) };
        let addr = self.slots[index].addr;
        self.ended(driver, index, ending, || format!("{op} {addr}: {}", words(errno)));
    }

    /// The connection is over before its time; another one is made after a pause.
    pub(crate) fn ended(
        &mut self,
        driver: &mut impl Driver,
        index: usize,
        ending: Ending,
        sentence: impl FnOnce() -> String,
    ) {
        self.tally.ended(ending, sentence);
        self.rules.address.doubt();
        self.close(driver, index, true);
        if matches!(self.phase, Phase::Running | Phase::Connecting) && !self.rules.idle {
            self.waiting.push_back((clock::now() + PAUSE, index));
        }
    }

    /// Lets go of the slot's socket. What was under way on it is lost, and counted.
    pub(crate) fn close(&mut self, driver: &mut impl Driver, index: usize, reset: bool) {
        let slot = &mut self.slots[index];
        if slot.stage == Stage::Connecting {
            self.connecting -= 1;
        }
        slot.stage = Stage::Absent;
        self.tally.lost_bytes += slot.flow.owed();
        self.tally.lost += slot.flow.restart(&self.rules.profile);
        slot.handshake = None;
        let Some(socket) = slot.socket.take() else { return };
        if self.rules.after != After::Stays {
            self.closed += 1;
            if self.closed.is_multiple_of(64) {
                self.wire.note(&socket);
            }
        }
        if reset {
            let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
        }
        driver.release(index, socket);
    }
}
