//! The sockets of a race: what [`Race`] decides is done here, and what happens is told to it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    Attempt, Connection, Connector,
    attempt::{Outcome, Running},
};
use tcpecho_os::tcp_state::TcpState;

use crate::{
    Error, Evidence,
    evidence::{Tried, failed_retransmissions},
    race::{Action, Event, Race},
    words,
};

/// After this long a handshake is slow enough to look whether this host itself keeps its SYNs from going out; the first
/// retransmission comes after a second.
const SLOW: Duration = Duration::from_millis(500);

/// All attempts at one connection.
pub(super) struct Field<'a> {
    race: Race,
    how: &'a Connector<'a>,
    running: Vec<Running>,
    connected: Option<(usize, SocketAddr)>,
    failed: Vec<Attempt>,
    timer: Option<Instant>,
    /// Whether the counter of unsendable retransmissions has been looked at, and what it was then.
    looked: bool,
    unsendable: Option<u64>,
}

impl<'a> Field<'a> {
    pub(super) fn new(race: Race, how: &'a Connector<'a>) -> Self {
        Field {
            race,
            how,
            running: Vec::new(),
            connected: None,
            failed: Vec::new(),
            timer: None,
            looked: false,
            unsendable: None,
        }
    }

    pub(super) fn run(mut self, addrs: &[SocketAddr]) -> Result<Connection, Vec<Attempt>> {
        let mut events = VecDeque::from([Event::Resolved { addrs: addrs.to_vec(), more: false }]);
        loop {
            while let Some(event) = events.pop_front() {
                for action in self.race.on(event) {
                    match action {
                        Action::Start(number) => events.extend(self.start(number)),
                        Action::SetTimer(delay) => self.timer = Instant::now().checked_add(delay),
                        // One connection there is, or none.
                        Action::Won(_) => return self.finish(),
                        Action::Lost => return Err(self.failed),
                    }
                }
            }
            match self.wait() {
                Ok(event) => events.extend(event),
                // Interrupted, or poll itself failed.
                Err(error) => return Err(self.give_up(&error)),
            }
        }
    }

    fn start(&mut self, number: usize) -> Option<Event> {
        match Running::start(number, self.race.addr(number)?, self.how) {
            Ok(running) => {
                self.running.push(running);
                None
            }
            Err(mut attempt) => {
                attempt.evidence.tried = self.known().tried;
                self.fail(*attempt);
                Some(Event::Failed(number))
            }
        }
    }

    /// Waits until something has happened.
    fn wait(&mut self) -> Result<Vec<Event>, Error> {
        let addr = self.running.first().map(|running| running.addr);
        let fail = |op, errno| Error { addr, ..Error::new(op, errno) };
        let left = self.until_next().and_then(|left| Timespec::try_from(left).ok());
        let mut watched: Vec<PollFd<'_>> =
            self.running.iter().map(|running| PollFd::new(&running.fd, PollFlags::OUT)).collect();
        watched.extend(self.how.interrupt.as_ref().map(|stop| PollFd::new(stop, PollFlags::IN)));
        match poll(&mut watched, left.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(errno) => return Err(fail("poll", errno)),
        }
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (handshakes, stop) = ready.split_at(self.running.len());
        let mut events = self.look(handshakes);
        if events.is_empty() && stop.contains(&true) {
            return Err(fail("connect", Errno::INTR));
        }
        if !self.looked && self.oldest().is_some_and(|age| age >= SLOW) {
            (self.looked, self.unsendable) = (true, failed_retransmissions());
        }
        events.extend(self.too_late());
        if self.timer.is_some_and(|at| at <= Instant::now()) {
            self.timer = None;
            events.push(Event::Timer);
        }
        Ok(events)
    }

    fn oldest(&self) -> Option<Duration> {
        self.running.iter().map(|running| running.start.elapsed()).max()
    }

    /// How long nothing needs to be done.
    fn until_next(&self) -> Option<Duration> {
        let timer = self.timer.map(|at| at.saturating_duration_since(Instant::now()));
        let limit = self.how.timeout.and_then(|limit| Some(limit.saturating_sub(self.oldest()?)));
        let slow = self.oldest().filter(|_| !self.looked);
        let slow = slow.map(|age| SLOW.saturating_sub(age));
        [timer, limit, slow].into_iter().flatten().min()
    }

    fn look(&mut self, ready: &[bool]) -> Vec<Event> {
        let mut events = Vec::new();
        let ready: Vec<usize> = self
            .running
            .iter()
            .zip(ready)
            .filter(|(_, ready)| **ready)
            .map(|(running, _)| running.number)
            .collect();
        for number in ready {
            let Some(place) = self.running.iter().position(|one| one.number == number) else {
                continue;
            };
            match self.running[place].outcome(self.how) {
                Outcome::Pending => {}
                Outcome::Connected(local) => {
                    // Of two in the same moment the first is kept.
                    if self.connected.is_none() {
                        self.connected = Some((number, local));
                        events.push(Event::Connected(number));
                    }
                }
                Outcome::Failed(error) => {
                    let attempt = self.running.remove(place).failed(error, self.known());
                    self.fail(attempt);
                    events.push(Event::Failed(number));
                }
            }
        }
        events
    }

    /// Those whose time is up.
    fn too_late(&mut self) -> Vec<Event> {
        let Some(limit) = self.how.timeout else { return Vec::new() };
        let connected = self.connected.map(|(number, _)| number);
        let mut events = Vec::new();
        while let Some(place) = self.running.iter().position(|running| {
            running.start.elapsed() >= limit && Some(running.number) != connected
        }) {
            let running = self.running.remove(place);
            events.push(Event::Failed(running.number));
            let attempt = running.too_late(limit, self.known());
            self.fail(attempt);
        }
        events
    }

    fn fail(&mut self, attempt: Attempt) {
        let error = &attempt.error;
        let result = words(error.source);
        self.how.tell(error.op, attempt.addr.to_string(), result, Some(TcpState::Close));
        self.failed.push(attempt);
    }

    fn known(&self) -> Evidence {
        let now = self.unsendable.and_then(|_| failed_retransmissions());
        let own_drops = self.unsendable.zip(now).map(|(before, now)| now.saturating_sub(before));
        let tried = self.failed.iter().map(Tried::of).collect();
        Evidence { own_drops, tried, ..Evidence::default() }
    }

    fn finish(mut self) -> Result<Connection, Vec<Attempt>> {
        let winner = self.connected.and_then(|(number, local)| {
            let place = self.running.iter().position(|running| running.number == number)?;
            Some((self.running.remove(place), local))
        });
        let Some((Running { fd, addr, start, .. }, local)) = winner else {
            return Err(self.failed);
        };
        let connect_time = start.elapsed();
        let outrun =
            self.running.iter().map(|running| (running.addr, running.start.elapsed())).collect();
        Ok(Connection { fd, local, peer: addr, connect_time, failed: self.failed, outrun })
    }

    /// All that run end with this error.
    fn give_up(mut self, error: &Error) -> Vec<Attempt> {
        for running in std::mem::take(&mut self.running) {
            let error = Error { addr: Some(running.addr), ..error.clone() };
            let attempt = running.failed(error, Evidence::default());
            self.failed.push(attempt);
        }
        self.failed
    }
}
