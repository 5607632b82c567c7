//! Which address is tried when: Happy Eyeballs (RFC 8305) as a state machine, without a socket and without a clock.
//!
//! Addresses go in the resolver's order (RFC 6724), the families alternating, so that a family that leads nowhere costs
//! a quarter of a second and not a minute. A failure starts the next attempt at once, a timer starts it beside the
//! running one; the first connection wins. getaddrinfo(3) gives both families in one answer, and then there is
//! nothing to wait for; a resolver that asks for each may hand them in as they come.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

/// How long IPv4 addresses wait for those of IPv6 (RFC 8305 3, "Resolution Delay").
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// How long an attempt runs alone (RFC 8305 5, "Connection Attempt Delay").
pub(in crate::client) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// An answer of the resolver, in its order; `more` if another one is to come.
    Resolved {
        /// The addresses; none is an answer too.
        addrs: Vec<SocketAddr>,
        /// Whether another answer is still out.
        more: bool,
    },
    /// The attempt at this address failed.
    Failed(usize),
    /// The timer that was set has run out.
    Timer,
}

/// What to do. Addresses are numbered from 0 in the order in which they came; [`Race::addr`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Start to connect to this address.
    Start(usize),
    /// Set the one timer, anew if it runs.
    SetTimer(Duration),
    /// No address is left and none runs: it is over.
    Lost,
}

/// A race for one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Race {
    addrs: Vec<SocketAddr>,
    /// Not started yet, in the order in which they will be.
    waiting: VecDeque<usize>,
    running: Vec<usize>,
    /// The family that was started last.
    last_was_v6: Option<bool>,
    /// None to try one address after the other, as they came.
    delay: Option<Duration>,
    more: bool,
    held: bool,
    over: bool,
}

impl Race {
    /// Attempts overlap, each a quarter of a second after the one before.
    pub(super) fn overlapping() -> Self {
        Race { delay: Some(ATTEMPT_DELAY), more: true, ..Race::default() }
    }

    /// One address at a time, in the order in which they came.
    pub(super) fn one_at_a_time() -> Self {
        Race { delay: None, more: true, ..Race::default() }
    }

    /// The address with this number.
    pub(super) fn addr(&self, number: usize) -> Option<SocketAddr> {
        self.addrs.get(number).copied()
    }

    /// Handles an event and returns what to do, in order; nothing once the race is over.
    pub(super) fn on(&mut self, event: Event) -> Vec<Action> {
        if self.over {
            return Vec::new();
        }
        match event {
            Event::Resolved { addrs, more } => self.resolved(addrs, more),
            Event::Failed(number) => {
                self.running.retain(|running| *running != number);
                self.go_on()
            }
            Event::Timer => {
                self.held = false;
                self.go_on()
            }
        }
    }

    fn resolved(&mut self, addrs: Vec<SocketAddr>, more: bool) -> Vec<Action> {
        let fresh: Vec<_> = addrs.into_iter().filter(|addr| !self.addrs.contains(addr)).collect();
        let first_answer = self.addrs.is_empty();
        for addr in fresh {
            if !self.addrs.contains(&addr) {
                self.waiting.push_back(self.addrs.len());
                self.addrs.push(addr);
            }
        }
        self.more = more;
        // Nothing has been started: the better family has a moment to come.
        let only_v4 = self.addrs.iter().all(SocketAddr::is_ipv4);
        if self.delay.is_some() && first_answer && more && only_v4 && !self.addrs.is_empty() {
            self.held = true;
            return vec![Action::SetTimer(RESOLUTION_DELAY)];
        }
        if !self.running.is_empty() {
            return Vec::new();
        }
        self.held = false;
        self.go_on()
    }

    /// Starts the next attempt, if there is one to start.
    fn go_on(&mut self) -> Vec<Action> {
        if self.held || (self.delay.is_none() && !self.running.is_empty()) {
            return Vec::new();
        }
        let Some(number) = self.next() else {
            // Every address has failed, and no other is to come.
            self.over = self.running.is_empty() && !self.more;
            return if self.over { vec![Action::Lost] } else { Vec::new() };
        };
        self.running.push(number);
        let mut actions = vec![Action::Start(number)];
        if let Some(delay) = self.delay.filter(|_| !self.waiting.is_empty() || self.more) {
            actions.push(Action::SetTimer(delay));
        }
        actions
    }

    /// The next of the other family, if there is one (RFC 8305 4, "First Address Family Count" 1). The very first is the
    /// resolver's first, unless IPv6 was waited for.
    fn next(&mut self) -> Option<usize> {
        let is_v6 = |number: &usize| self.addrs.get(*number).is_some_and(SocketAddr::is_ipv6);
        let place = match self.last_was_v6.filter(|_| self.delay.is_some()) {
            Some(last) => self.waiting.iter().position(|number| is_v6(number) != last),
            None => None,
        };
        let number = self.waiting.remove(place.unwrap_or(0))?;
        self.last_was_v6 = self.addrs.get(number).map(SocketAddr::is_ipv6);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(host: u8) -> SocketAddr {
        ([192, 0, 2, host], 7).into()
    }

    fn v6(host: u8) -> SocketAddr {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()], 7).into()
    }

    fn all(addrs: &[SocketAddr]) -> Event {
        Event::Resolved { addrs: addrs.to_vec(), more: false }
    }

    const NEXT: Action = Action::SetTimer(ATTEMPT_DELAY);

    #[test]
    fn delays_are_those_that_rfc_8305_recommends() {
        assert_eq!(RESOLUTION_DELAY.as_millis(), 50, "section 3");
        assert_eq!(ATTEMPT_DELAY.as_millis(), 250, "section 5");
    }

    #[test]
    fn families_alternate_as_failures_and_the_timer_go_on() {
        let mut race = Race::overlapping();
        let addrs = [v6(1), v6(2), v6(3), v4(1), v4(2)];
        assert_eq!(race.on(all(&addrs)), [Action::Start(0), NEXT]);
        assert_eq!(race.on(Event::Timer), [Action::Start(3), NEXT]);
        assert_eq!(race.on(Event::Failed(0)), [Action::Start(1), NEXT]);
        assert_eq!(race.on(Event::Timer), [Action::Start(4), NEXT]);
        // The last has nobody to wait for.
        assert_eq!(race.on(Event::Failed(4)), [Action::Start(2)]);
        assert_eq!(race.on(Event::Failed(1)), []);
        assert_eq!(race.on(Event::Failed(3)), []);
        assert_eq!(race.on(Event::Failed(2)), [Action::Lost]);
    }

    #[test]
    fn ipv4_waits_a_moment_for_ipv6_and_no_longer() {
        let some = |addrs: &[SocketAddr]| Event::Resolved { addrs: addrs.to_vec(), more: true };
        let mut race = Race::overlapping();
        assert_eq!(race.on(some(&[v4(1)])), [Action::SetTimer(RESOLUTION_DELAY)]);
        assert_eq!(race.on(Event::Timer), [Action::Start(0), NEXT]);
        assert_eq!(race.on(all(&[v6(1)])), []);
        assert_eq!(race.on(Event::Timer), [Action::Start(1)]);

        let mut race = Race::overlapping();
        assert_eq!(race.on(some(&[v6(1)])), [Action::Start(0), NEXT]);
        assert_eq!(race.on(Event::Failed(0)), []);
        assert_eq!(race.on(all(&[v4(1)])), [Action::Start(1)]);
    }

    #[test]
    fn one_at_a_time_keeps_the_order_and_has_no_timer() {
        let mut race = Race::one_at_a_time();
        assert_eq!(race.on(all(&[v6(1), v6(2), v4(1)])), [Action::Start(0)]);
        assert_eq!(race.on(Event::Timer), []);
        assert_eq!(race.on(Event::Failed(0)), [Action::Start(1)]);
        assert_eq!(race.on(Event::Failed(1)), [Action::Start(2)]);
        assert_eq!(race.on(Event::Failed(2)), [Action::Lost]);
    }

    #[test]
    fn no_address_is_a_lost_race() {
        assert_eq!(Race::overlapping().on(all(&[])), [Action::Lost]);
    }

    /// What a race does with addresses that all fail, in whatever order that happens.
    fn run(
        addrs: &[SocketAddr],
        at_once: bool,
        choices: &[u8],
        winner: Option<usize>,
    ) -> Vec<usize> {
        let mut race = if at_once { Race::overlapping() } else { Race::one_at_a_time() };
        let (mut started, mut running) = (Vec::new(), Vec::new());
        let mut actions = race.on(all(addrs));
        let mut choices = choices.iter().copied().cycle();
        loop {
            for action in actions {
                match action {
                    Action::Start(number) => {
                        started.push(number);
                        running.push(number);
                    }
                    Action::SetTimer(_) => {}
                    Action::Lost => {
                        assert!(running.is_empty() && race.on(Event::Timer).is_empty());
                        return started;
                    }
                }
            }
            assert!(at_once || running.len() == 1);
            let choice = usize::from(choices.next().unwrap_or(0));
            actions = if choice % 3 == 0 && at_once {
                race.on(Event::Timer)
            } else if winner.is_some_and(|number| running.contains(&number)) {
                return started;
            } else {
                race.on(Event::Failed(running.swap_remove(choice % running.len())))
            };
        }
    }

    proptest! {
        #[test]
        fn every_address_is_tried_once_unless_one_wins(
            hosts in prop::collection::hash_set((any::<bool>(), any::<u8>()), 1..12),
            at_once in any::<bool>(),
            // A choice that is no timer, so that it ends.
            mut choices in prop::collection::vec(any::<u8>(), 1..20),
            winner in prop::option::of(0_usize..12),
        ) {
            choices.push(1);
            let addrs: Vec<_> =
                hosts.iter().map(|(six, host)| if *six { v6(*host) } else { v4(*host) }).collect();
            let winner = winner.filter(|number| *number < addrs.len());
            let started = run(&addrs, at_once, &choices, winner);
            prop_assert_eq!(started[0], 0, "the resolver's first goes first");
            let mut sorted = started.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), started.len(), "none twice");
            if winner.is_none() {
                prop_assert_eq!(started.len(), addrs.len(), "none left out");
            }
            if !at_once {
                prop_assert!(started.windows(2).all(|two| two[0] < two[1]), "in order");
            } else if started.len() == addrs.len() {
                // While both families are left, no family is started twice in a row.
                let six: Vec<bool> = started.iter().map(|number| addrs[*number].is_ipv6()).collect();
                for (place, two) in six.windows(2).enumerate() {
                    let rest = &six[place + 1..];
                    prop_assert!(two[0] != two[1] || rest.iter().all(|next| *next == two[0]));
                }
            }
        }
    }
}
