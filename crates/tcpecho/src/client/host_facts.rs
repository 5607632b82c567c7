//! A cache of the facts about this host that explain failures, valid for a second.
//!
//! A prober may fail a thousand times per second for the same reason, and counting the sockets to a peer takes longer
//! than most probes.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::io::Errno;

use crate::Evidence;

/// How long a cached answer is valid.
const FRESH: Duration = Duration::from_secs(1);

/// A cache of the facts about this host that explain failures: routes, sysctls, sockets to a peer, limits. Share one
/// between connections that may fail often.
///
/// ```
/// use std::sync::Arc;
/// use tcpecho::{ConnectOptions, HostFacts};
///
/// let facts = Arc::new(HostFacts::default());
/// let options = ConnectOptions::default().facts(Arc::clone(&facts));
/// ```
#[derive(Debug, Default)]
pub struct HostFacts(Mutex<Vec<Answer>>);

#[derive(Debug)]
struct Answer {
    at: Instant,
    errno: Option<Errno>,
    known: Evidence,
}

impl HostFacts {
    /// Adds to `evidence` the facts that explain `errno` from a call on `peer`.
    fn tell(&self, evidence: &mut Evidence, peer: SocketAddr, errno: Option<Errno>) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.at.elapsed() < FRESH);
        let same = |answer: &&Answer| answer.known.peer == Some(peer) && answer.errno == errno;
        if let Some(Answer { known, .. }) = answers.iter().find(same) {
            (evidence.peer, evidence.kernel) = (known.peer, known.kernel);
            (evidence.route, evidence.towards) = (known.route, known.towards);
            (evidence.descriptor_limit, evidence.stack) = (known.descriptor_limit, known.stack);
            return;
        }
        evidence.ask_host(peer, errno);
        answers.push(Answer { at: Instant::now(), errno, known: evidence.clone() });
    }
}

/// Adds facts about this host that explain `said`, the errno of a failed call on `peer`; from `cache` if there is one.
pub fn ask_host(
    evidence: &mut Evidence,
    peer: SocketAddr,
    said: Option<Errno>,
    cache: Option<&HostFacts>,
) {
    match cache {
        Some(cache) => cache.tell(evidence, peer, said),
        None => evidence.ask_host(peer, said),
    }
}
