//! What this host says of a failed attempt, kept for a second.
//!
//! A prober may fail a thousand times a second, each time for the same reason, and counting the sockets towards a peer
//! takes longer than most probes.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::io::Errno;

use crate::Evidence;

/// The host is asked again after this time.
const FRESH: Duration = Duration::from_secs(1);

/// A cache of what this host says of failures: routes, sysctls, sockets towards a peer, limits. Share one between the
/// connections of a program that may fail often.
#[derive(Debug, Default)]
pub struct HostFacts(Mutex<Vec<Answer>>);

#[derive(Debug)]
struct Answer {
    at: Instant,
    errno: Option<Errno>,
    known: Evidence,
}

impl HostFacts {
    #[doc(hidden)]
    /// Adds to `evidence` what this host says of `errno` from a call about `peer`.
    pub fn tell(&self, evidence: &mut Evidence, peer: SocketAddr, errno: Option<Errno>) {
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
