//! The life of a connection: handshake, exchanges, end, and the next connection in its place.

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
use tcpecho::{ConnectOptions, Ending, Handshake, Progress};
use tcpecho_os::errno::words;

use super::{After, PAUSE, Phase, Rules, Worker};
use crate::{
    clock,
    driver::Driver,
    flow::{Flow, Mismatch},
};

/// The state of a slot's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none.
    Absent,
    /// The handshake is in progress.
    Connecting,
    /// It is established.
    Open,
    /// Our FIN was sent.
    Shut,
}

/// The place of one connection: its requests and its current socket.
pub(super) struct ConnSlot {
    pub(super) flow: Flow,
    pub(super) stage: Stage,
    /// The handshake, until it has finished.
    pub(super) handshake: Option<Handshake>,
    pub(super) socket: Option<Rc<OwnedFd>>,
    /// The peer of its current connection.
    pub(super) addr: SocketAddr,
    /// When its current handshake was started.
    pub(super) since: u64,
}

impl ConnSlot {
    /// Creates a slot without a connection.
    pub(super) fn new(number: u64, rules: &Rules) -> Self {
        Self {
            flow: Flow::new(number, &rules.profile),
            stage: Stage::Absent,
            handshake: None,
            socket: None,
            addr: rules.address.get(),
            since: 0,
        }
    }
}

impl Worker<'_> {
    /// Begins and sends the messages that the slot may send. Connects first if it has no connection and each
    /// makes one exchange.
    pub(super) fn advance(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        // Requests that were due in the measured time may still be sent after it.
        let late = self.phase == Phase::Draining && self.rules.profile.schedule.is_some();
        if self.phase != Phase::Running && !late {
            return;
        }
        let slot = &mut self.slots[index];
        match slot.stage {
            Stage::Open => {
                slot.flow.begin(&self.rules.profile, now, &mut self.budget);
                if slot.flow.ready(&self.rules.profile) > 0 {
                    self.push(driver, index, now);
                }
            }
            Stage::Absent if self.rules.after != After::KeepOpen && driver.is_free(index) => {
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

    /// Returns how many bytes the slot can send now.
    pub(super) fn ready(&self, index: usize) -> usize {
        let slot = &self.slots[index];
        let stream = self.rules.profile.depth.is_none();
        match slot.stage {
            Stage::Open if !stream || self.phase == Phase::Running => {
                slot.flow.ready(&self.rules.profile)
            }
            _ => 0,
        }
    }

    /// Sends until the socket takes no more or there is nothing left. Sends once if the data is endless.
    pub(super) fn push(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        let endless = self.rules.profile.depth.is_none();
        loop {
            let length = self.ready(index);
            if length == 0 {
                return self.set_writable(driver, index, false);
            }
            let flow = &mut self.slots[index].flow;
            match driver.send(index, flow.outgoing(length)) {
                Ok(count) => flow.sent(count, now, &mut self.tally),
                Err(Errno::AGAIN) => return self.set_writable(driver, index, true),
                Err(errno) => return self.broke(driver, index, "send", errno),
            }
            if endless {
                return self.set_writable(driver, index, true);
            }
        }
    }

    fn set_writable(&mut self, driver: &mut impl Driver, index: usize, wanted: bool) {
        if let Err(errno) = driver.set_writable(index, wanted) {
            self.broke(driver, index, "epoll_ctl", errno);
        }
    }

    /// Starts the handshake of the slot's next connection.
    pub(super) fn open(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        let number = self.slots[index].flow.number;
        let sources = &self.rules.sources;
        let source = sources.get(number as usize % sources.len().max(1)).copied();
        let addr = self.rules.address.get();
        let slot = &mut self.slots[index];
        slot.addr = addr;
        slot.since = now;
        let options = ConnectOptions::default().source(source).evidence(false);
        match Handshake::start(addr, &options) {
            Ok(handshake) => {
                slot.stage = Stage::Connecting;
                self.connecting += 1;
                // On loopback connect(2) mostly returns with an established connection.
                if handshake.is_established() {
                    slot.handshake = Some(handshake);
                    return self.on_handshake(driver, index);
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

    /// Takes the result of the slot's handshake, if it has finished.
    pub(super) fn on_handshake(&mut self, driver: &mut impl Driver, index: usize) {
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
                let begun = driver.attach(index, &socket, watched);
                slot.socket = Some(socket);
                match begun {
                    Ok(()) => self.connected(driver, index, clock::now()),
                    Err(errno) => self.broke(driver, index, "epoll_ctl", errno),
                }
            }
        }
    }

    /// Starts to use an established connection.
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
        } else if self.rules.after == After::KeepOpen {
            self.advance(driver, index, now);
            return;
        }
        if self.ready(index) > 0 {
            self.push(driver, index, now);
        }
    }

    /// Checks and counts received bytes. [`Worker::follow_up`] acts on the result.
    pub(super) fn take(&mut self, index: usize, back: &[u8], now: u64) -> Result<u64, Mismatch> {
        self.notice_pause(now);
        self.progress = now;
        let moment = self.moment(now);
        self.slots[index].flow.received(back, &self.rules.profile, moment, &mut self.tally)
    }

    /// Sends the next message, ends the connection, or waits for more, after bytes were received.
    pub(super) fn follow_up(
        &mut self,
        driver: &mut impl Driver,
        index: usize,
        taken: Result<u64, Mismatch>,
        now: u64,
    ) {
        match taken {
            Err(Mismatch(sentence)) => self.ended(driver, index, Ending::Mismatch, || sentence),
            Ok(0) => {}
            Ok(_) if self.rules.after == After::KeepOpen => self.advance(driver, index, now),
            Ok(_) => self.exchanged(driver, index, now),
        }
    }

    /// Ends a connection after its only exchange.
    fn exchanged(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
        if self.rules.after == After::Close {
            return self.shut(driver, index);
        }
        self.close(driver, index, true);
        self.advance(driver, index, now);
    }

    pub(super) fn shut(&mut self, driver: &mut impl Driver, index: usize) {
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

    /// Handles the peer's FIN.
    pub(super) fn end_of_file(&mut self, driver: &mut impl Driver, index: usize, now: u64) {
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

    /// Ends the connection after a call on its socket failed.
    pub(super) fn broke(
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

    /// Counts a connection that ended too early. The next one is made after [`PAUSE`].
    pub(super) fn ended(
        &mut self,
        driver: &mut impl Driver,
        index: usize,
        ending: Ending,
        sentence: impl FnOnce() -> String,
    ) {
        self.tally.ended(ending, sentence);
        self.rules.address.note_failure();
        self.close(driver, index, true);
        if matches!(self.phase, Phase::Running | Phase::Connecting) && !self.rules.idle {
            self.waiting.push_back((clock::now() + PAUSE, index));
        }
    }

    /// Closes the slot's socket and counts messages and bytes that are lost with it.
    pub(super) fn close(&mut self, driver: &mut impl Driver, index: usize, reset: bool) {
        let slot = &mut self.slots[index];
        if slot.stage == Stage::Connecting {
            self.connecting -= 1;
        }
        slot.stage = Stage::Absent;
        self.tally.lost_bytes += slot.flow.owed();
        self.tally.lost += slot.flow.restart(&self.rules.profile);
        slot.handshake = None;
        let Some(socket) = slot.socket.take() else { return };
        if self.rules.after != After::KeepOpen {
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
