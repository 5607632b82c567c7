//! The attempts to make one connection, beside each other (RFC 8305): what [`Race`] decides is done here, and what
//! happens is told to it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use tcpecho::{
    Attempt,
    evidence::Tried,
    race::{Action, Event, Race},
};

use super::{
    handshake::{Connected, Handshake, Outcome},
    way::Way,
};

#[derive(Debug)]
pub(super) struct HappyEyeballs {
    race: Race,
    /// Those under way, with their numbers in the race.
    running: Vec<(usize, Handshake)>,
    failures: Vec<Attempt>,
    /// When the next address is tried, whatever the others do.
    timer: Option<Instant>,
}

/// How far it has come.
pub(super) enum Progress {
    Pending,
    /// One is connected; and what was tried before.
    Connected(Connected, Vec<Attempt>),
    /// No address is left.
    Failed(Vec<Attempt>),
}

impl HappyEyeballs {
    /// Begins to connect to these addresses; an error where all of them fail at once.
    pub(super) fn start(
        addrs: Vec<SocketAddr>,
        way: &Way,
        now: Instant,
    ) -> Result<Self, Vec<Attempt>> {
        let race = if way.overlap { Race::overlapping() } else { Race::one_at_a_time() };
        let (running, failures) = (Vec::new(), Vec::new());
        let mut attempts = HappyEyeballs { race, running, failures, timer: None };
        match attempts.play(VecDeque::from([Event::Resolved { addrs, more: false }]), way, now) {
            Progress::Failed(failures) => Err(failures),
            Progress::Pending | Progress::Connected(..) => Ok(attempts),
        }
    }

    pub(super) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.running.iter().map(|(_, handshake)| handshake.as_fd())
    }

    /// What poll said of those, in their order.
    pub(super) fn note_ready(&mut self, ready: impl Iterator<Item = bool>) {
        for ((_, handshake), ready) in self.running.iter_mut().zip(ready) {
            if ready {
                handshake.note_ready();
            }
        }
    }

    /// When to look, whatever the descriptors do.
    pub(super) fn deadline(&self, way: &Way) -> Option<Instant> {
        let running = self.running.iter().filter_map(|(_, handshake)| handshake.deadline(way));
        running.chain(self.timer).min()
    }

    /// For so long nobody looked: that time is not counted.
    pub(super) fn postpone(&mut self, span: Duration) {
        for (_, handshake) in &mut self.running {
            handshake.postpone(span);
        }
    }

    /// Looks what has become of all of them.
    pub(super) fn proceed(&mut self, way: &Way, now: Instant) -> Progress {
        let mut events = VecDeque::new();
        let mut index = 0;
        while let Some((number, handshake)) = self.running.get_mut(index) {
            let number = *number;
            match handshake.proceed(way, now) {
                Outcome::Pending => index += 1,
                Outcome::Connected(local) => {
                    let (_, handshake) = self.running.swap_remove(index);
                    let failures = std::mem::take(&mut self.failures);
                    return Progress::Connected(handshake.connected(local, now), failures);
                }
                Outcome::Failed(error, deadline) => {
                    let (_, handshake) = self.running.swap_remove(index);
                    let failed = handshake.failed(error, deadline, self.tried(), way, now);
                    self.failures.push(failed);
                    events.push_back(Event::Failed(number));
                }
            }
        }
        if self.timer.is_some_and(|at| at <= now) {
            self.timer = None;
            events.push_back(Event::Timer);
        }
        self.play(events, way, now)
    }

    /// Nothing is waited for any longer; every attempt with what is known of it.
    pub(super) fn give_up(mut self, way: &Way, now: Instant) -> Vec<Attempt> {
        for (_, handshake) in std::mem::take(&mut self.running) {
            let failed = handshake.given_up(self.tried(), way, now);
            self.failures.push(failed);
        }
        self.failures
    }

    fn play(&mut self, mut events: VecDeque<Event>, way: &Way, now: Instant) -> Progress {
        while let Some(event) = events.pop_front() {
            for action in self.race.on(event) {
                match action {
                    Action::Start(number) => events.extend(self.start_one(number, way, now)),
                    Action::SetTimer(delay) => self.timer = now.checked_add(delay),
                    // A connection is told where it is seen.
                    Action::Won(_) => {}
                    Action::Lost => {
                        return Progress::Failed(std::mem::take(&mut self.failures));
                    }
                }
            }
        }
        Progress::Pending
    }

    fn start_one(&mut self, number: usize, way: &Way, now: Instant) -> Option<Event> {
        let addr = self.race.addr(number)?;
        match Handshake::start(addr, way, self.tried(), now) {
            Ok(handshake) => {
                self.running.push((number, handshake));
                None
            }
            Err(failed) => {
                self.failures.push(*failed);
                Some(Event::Failed(number))
            }
        }
    }

    fn tried(&self) -> Vec<Tried> {
        self.failures.iter().map(Tried::of).collect()
    }
}
