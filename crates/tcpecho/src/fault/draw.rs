//! The faults of a running server: draws one when a connection is accepted, and never again.

use std::{
    fmt,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Arc, atomic::Ordering::Relaxed},
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

/// The armed faults of a server.
pub(crate) struct Faults {
    sources: Vec<Source>,
    seed: u64,
    player: Arc<Player>,
}

impl Faults {
    pub(crate) fn new(sources: Vec<Source>, seed: u64) -> Result<Self, Error> {
        let player = Arc::new(Player::new()?);
        Ok(Faults { sources, seed, player })
    }

    pub(crate) fn player(&self) -> &Player {
        &self.player
    }

    /// Draws the fault of a connection that has just been accepted. One with a fault goes to the player; one without is
    /// returned.
    pub(crate) fn draw(
        &self,
        shared: &Arc<Shared>,
        fd: OwnedFd,
        session: Session,
    ) -> Option<(OwnedFd, Session)> {
        let n = session.number;
        let since_start = shared.origin.elapsed();
        let candidate = Candidate { peer: session.peer(), n, seed: self.seed, since_start };
        let Some(script) = self.sources.iter().find_map(|source| match source {
            Source::Rule(when, script) => when.holds(&candidate).then(|| Arc::clone(script)),
            Source::Function(decide) => decide(candidate.peer, n).map(Arc::new),
        }) else {
            return Some((fd, session));
        };
        shared.stats.faults.fetch_add(1, Relaxed);
        let play = Play::new(script, self.seed, n);
        self.player.admit(shared, Arrival { fd, session, play });
        None
    }
}
