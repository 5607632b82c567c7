//! Several connection attempts for one name (RFC 8305, "Happy Eyeballs"). [`Race`] decides which attempt starts when;
//! this file makes the calls.

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

/// The attempts to establish one connection. Never blocks.
///
/// Call [`on_ready`](HappyEyeballs::on_ready) first at once, and then whenever one of [`fds`](HappyEyeballs::fds) is writable
/// or [`deadline`](HappyEyeballs::deadline) has passed.
///
/// ```
/// use std::time::Instant;
/// use rustix::event::{PollFd, PollFlags, poll};
/// use tcpecho::{ConnectOptions, HappyEyeballs, Progress};
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let reserved = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
/// let addrs = vec![reserved, listener.local_addr()?];
/// let options = ConnectOptions::default().overlap(true);
/// let mut attempts = HappyEyeballs::new(addrs, options);
/// let connection = loop {
///     match attempts.on_ready(Instant::now()) {
///         Progress::Connected(connection) => break connection,
///         Progress::Failed(error) => return Err(error.into()),
///         Progress::Pending(pending) => attempts = pending,
///     }
///     let left = attempts.deadline().map(|at| at.saturating_duration_since(Instant::now()));
///     let left = left.map(|left| left.try_into()).transpose()?;
///     let mut fds: Vec<_> = attempts
///         .fds()
///         .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT))
///         .collect();
///     poll(&mut fds, left.as_ref())?;
/// };
/// assert_eq!(connection.failed.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Prepares attempts to connect to all of `addrs`, in parallel with [`ConnectOptions::overlap`].
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

    /// Returns the descriptors to poll for writability.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.running.iter().map(|(_, handshake)| handshake.as_fd())
    }

    /// Returns when to call [`on_ready`](HappyEyeballs::on_ready) even if no descriptor is writable.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.running
            .iter()
            .filter_map(|(_, handshake)| handshake.deadline())
            .chain(self.timer)
            .min()
    }

    /// Extends the deadlines by `span`, a time in which this program did not run.
    pub fn postpone(&mut self, span: Duration) {
        for (_, handshake) in &mut self.running {
            handshake.postpone(span);
        }
    }

    /// Returns the state of all attempts at `now`, and starts those that are due.
    ///
    /// Call it once before the first wait: it starts the first attempt.
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

    /// Ends all attempts as timed out. Call it when a time limit of the caller has passed.
    #[must_use]
    pub fn give_up(mut self, now: Instant) -> OpenError {
        for (_, handshake) in std::mem::take(&mut self.running) {
            self.fail(*handshake.give_up(now));
        }
        OpenError::of(self.failed)
    }

    /// Ends all attempts because a call of the caller failed.
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
            crate::duration::show_elapsed(connection.connect_time)
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
