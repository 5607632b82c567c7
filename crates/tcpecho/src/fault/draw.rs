//! The faults of a running server: draws one when a connection is accepted, and never again.

use std::{
    fmt,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use super::{
    plan::FaultPlan,
    play::Play,
    player::{Arrival, Player},
    script::Script,
    when::{Candidate, FaultWhen},
};
use crate::{Error, session::Session, shared::Shared};

/// Decides about a connection, by its peer and its number.
pub(crate) type Decide = dyn Fn(SocketAddr, u64) -> Option<Script> + Send + Sync;

/// Where a connection's fault comes from.
pub(crate) enum Source {
    Rule(FaultWhen, Arc<Script>),
    Function(Box<Decide>),
}

impl Source {
    pub(crate) fn of_plan(plan: &FaultPlan) -> impl Iterator<Item = Source> {
        plan.rules().iter().map(|(when, script)| Source::Rule(*when, Arc::new(script.clone())))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Rule(when, script) => write!(f, "{when}:{script}"),
            Source::Function(_) => f.write_str("function"),
        }
    }
}

/// What is armed.
struct Rules {
    sources: Vec<Source>,
    /// Connections are counted, and time passes, from here on.
    since: Instant,
    before: u64,
}

/// The faults of a server. They can be replaced while it runs.
pub(crate) struct Faults {
    rules: RwLock<Arc<Rules>>,
    seed: u64,
    /// Made with the first faults.
    player: OnceLock<Arc<Player>>,
}

impl Faults {
    pub(crate) fn new(sources: Vec<Source>, seed: u64) -> Result<Self, Error> {
        let player = OnceLock::new();
        if !sources.is_empty() {
            let _ = player.set(Arc::new(Player::new()?));
        }
        let rules = Rules { sources, since: Instant::now(), before: 0 };
        Ok(Faults { rules: RwLock::new(Arc::new(rules)), seed, player })
    }

    /// Replaces all faults, for the connections that are accepted from now on.
    /// `accepted` counts all connections.
    pub(crate) fn set(&self, plan: Option<&FaultPlan>, accepted: &AtomicU64) -> Result<(), Error> {
        let sources: Vec<Source> = plan.into_iter().flat_map(Source::of_plan).collect();
        if !sources.is_empty() && self.player.get().is_none() {
            // Another thread may have been faster.
            let _ = self.player.set(Arc::new(Player::new()?));
        }
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let before = accepted.load(Relaxed);
        *rules = Arc::new(Rules { sources, since: Instant::now(), before });
        Ok(())
    }

    /// Returns the rules; a function is not one.
    pub(crate) fn plan(&self) -> Option<FaultPlan> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let rule = |source: &Source| match source {
            Source::Rule(when, script) => Some((*when, (**script).clone())),
            Source::Function(_) => None,
        };
        let rules: Vec<_> = rules.sources.iter().filter_map(rule).collect();
        (!rules.is_empty()).then(|| FaultPlan::of_rules(rules))
    }

    /// No connection will be accepted any more. Returns whether the player tells the end of the server.
    pub(crate) fn complete(&self) -> bool {
        self.player.get().is_some_and(|player| player.complete())
    }

    /// Waits until the player has ended.
    pub(crate) fn join(&self) {
        if let Some(player) = self.player.get() {
            player.join();
        }
    }

    /// Draws the fault of a connection that has just been accepted. One with a fault goes to the player; one
    /// without is returned.
    pub(crate) fn draw(
        &self,
        shared: &Arc<Shared>,
        fd: OwnedFd,
        session: Session,
    ) -> Option<(OwnedFd, Session)> {
        let rules = Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(live) = &shared.live {
            live.add(session.number, &fd, session.peer());
        }
        let (Some(player), false) = (self.player.get(), rules.sources.is_empty()) else {
            return Some((fd, session));
        };
        // A connection that was accepted just before these rules were set has none of them.
        let n = session.number.saturating_sub(rules.before);
        if n == 0 {
            return Some((fd, session));
        }
        let since_start = rules.since.elapsed();
        let candidate = Candidate { peer: session.peer(), n, seed: self.seed, since_start };
        let Some(script) = rules.sources.iter().find_map(|source| match source {
            Source::Rule(when, script) => when.holds(&candidate).then(|| Arc::clone(script)),
            Source::Function(decide) => decide(candidate.peer, n).map(Arc::new),
        }) else {
            return Some((fd, session));
        };
        shared.stats.faults.fetch_add(1, Relaxed);
        if let Some(live) = &shared.live {
            live.set_fault(&fd, &script);
        }
        let play = Play::new(script, self.seed, n);
        player.admit(shared, Arrival { fd, session, play });
        None
    }
}
