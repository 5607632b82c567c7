//! Several connection attempts for one name (RFC 8305, "Happy Eyeballs"): what [`Race`] decides is done here, and what
//! happens is told to it.

mod race;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tcpecho_os::tcp_state::TcpState;

use self::race::{Action, Event, Race};
use super::{Attempt, Call, ConnectOptions, Connection, Handshake, OpenError, Progress};
use crate::evidence::Tried;

#[cfg(test)]
pub(super) use self::race::ATTEMPT_DELAY;

/// The attempts to make one connection. Never blocks.
///
/// Wait until one of [`fds`](HappyEyeballs::fds) is writable or [`deadline`](HappyEyeballs::deadline) has passed, then call
/// [`on_ready`](HappyEyeballs::on_ready), for the first time at once.
#[derive(Debug)]
pub struct HappyEyeballs<'a> {
    options: ConnectOptions<'a>,
    race: Race,
    /// What the race has not been told yet.
    events: VecDeque<Event>,
    /// The attempts in progress, with their numbers in the race.
    running: Vec<(usize, Handshake)>,
    failed: Vec<Attempt>,
    /// When the next address is tried even if the others are still pending.
    timer: Option<Instant>,
}

impl<'a> HappyEyeballs<'a> {
    /// Prepares attempts at all of `addrs`; [`ConnectOptions::overlap`] says whether they may overlap in time.
    #[must_use]
    pub fn new(addrs: Vec<SocketAddr>, options: ConnectOptions<'a>) -> Self {
        let race = if options.overlap { Race::overlapping() } else { Race::one_at_a_time() };
        HappyEyeballs {
            options,
            race,
            events: VecDeque::from([Event::Resolved { addrs, more: false }]),
            running: Vec::new(),
            failed: Vec::new(),
            timer: None,
        }
    }

    /// Returns the descriptors to wait for, until one of them is writable.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.running.iter().map(|(_, handshake)| handshake.as_fd())
    }

    /// When to call [`on_ready`](HappyEyeballs::on_ready) although no descriptor is writable.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.running
            .iter()
            .filter_map(|(_, handshake)| handshake.deadline())
            .chain(self.timer)
            .min()
    }

    /// Does not count `span`, during which this program did not run, as waiting.
    pub fn postpone(&mut self, span: Duration) {
        for (_, handshake) in &mut self.running {
            handshake.postpone(span);
        }
    }

    /// Reads what has become of all attempts by `now`, and starts those that are due. The failed attempts are in the order
    /// in which they failed.
    pub fn on_ready(mut self, now: Instant) -> Progress<Self, OpenError> {
        // Of two connections in the same moment the first is kept.
        let mut winner = None;
        for (number, handshake) in std::mem::take(&mut self.running) {
            match handshake.on_ready(now) {
                Progress::Pending(handshake) => self.running.push((number, handshake)),
                Progress::Connected(connection) => winner = winner.or(Some(connection)),
                Progress::Failed(attempt) => {
                    self.fail(*attempt);
                    self.events.push_back(Event::Failed(number));
                }
            }
        }
        if let Some(connection) = winner {
            return Progress::Connected(self.won(connection, now));
        }
        if self.timer.is_some_and(|at| at <= now) {
            self.timer = None;
            self.events.push_back(Event::Timer);
        }
        while let Some(event) = self.events.pop_front() {
            for action in self.race.on(event) {
                match action {
                    Action::Start(number) => self.start(number),
                    Action::SetTimer(delay) => self.timer = now.checked_add(delay),
                    Action::Lost => return Progress::Failed(OpenError::of(self.failed)),
                }
            }
        }
        Progress::Pending(self)
    }

    /// Gives all attempts up as timed out: the caller's limit came first.
    #[must_use]
    pub fn give_up(mut self, now: Instant) -> OpenError {
        for (_, handshake) in std::mem::take(&mut self.running) {
            self.fail(*handshake.give_up(now));
        }
        OpenError::of(self.failed)
    }

    /// Gives all attempts up because this call of ours failed.
    pub(super) fn abandon(mut self, op: &'static str, errno: Errno) -> OpenError {
        for (_, handshake) in std::mem::take(&mut self.running) {
            self.failed.push(*handshake.abandon(op, errno));
        }
        OpenError::of(self.failed)
    }

    fn start(&mut self, number: usize) {
        let Some(addr) = self.race.addr(number) else { return };
        match Handshake::start(addr, &self.options) {
            Ok(handshake) => {
                self.tell_calls(handshake.peer(), Some(&handshake), None);
                self.running.push((number, handshake));
            }
            Err(attempt) => {
                self.tell_calls(attempt.addr, None, Some(attempt.error.op));
                self.fail(*attempt);
                self.events.push_back(Event::Failed(number));
            }
        }
    }

    fn fail(&mut self, attempt: Attempt) {
        self.tell(
            attempt.error.op,
            attempt.addr.to_string(),
            attempt.error.source.to_string(),
            TcpState::Close,
        );
        let tried = self.failed.iter().map(Tried::from).collect();
        self.failed.push(attempt.beside(tried));
    }

    fn won(self, mut connection: Connection, now: Instant) -> Connection {
        let result = format!(
            "SYN-ACK came after {}",
            crate::duration::show_duration(connection.connect_time)
        );
        self.tell("connect", connection.peer.to_string(), result, TcpState::Established);
        let elapsed = |handshake: &Handshake| now.saturating_duration_since(handshake.started());
        let outrun = self.running.iter();
        connection.outrun =
            outrun.map(|(_, handshake)| (handshake.peer(), elapsed(handshake))).collect();
        connection.failed = self.failed;
        connection
    }

    /// Tells of the calls before connect(2), and of it too if the handshake is under way.
    fn tell_calls(&self, peer: SocketAddr, handshake: Option<&Handshake>, failed: Option<&str>) {
        if self.options.tracer.is_none() || failed == Some("socket") {
            return;
        }
        let family = if peer.is_ipv4() { "AF_INET" } else { "AF_INET6" };
        self.tell("socket", family.into(), "ok".into(), TcpState::Close);
        let local = handshake.and_then(Handshake::local);
        let local = local.map_or_else(|| "ok".into(), |local| local.to_string());
        if let Some(source) = self.options.source
            && failed.is_none_or(|op| op == "connect")
        {
            self.tell("bind", source.to_string(), local.clone(), TcpState::Close);
        }
        if handshake.is_some() {
            // That the state was SYN_SENT when the call returned is what EINPROGRESS says; by now the answer may have
            // come.
            let result = format!("SYN sent from {local}");
            self.tell("connect", peer.to_string(), result, TcpState::SynSent);
        }
    }

    fn tell(&self, op: &'static str, about: String, result: String, state: TcpState) {
        if let Some(tracer) = self.options.tracer {
            tracer.saw(&Call { op, about, result, state: Some(state.word()) });
        }
    }
}
