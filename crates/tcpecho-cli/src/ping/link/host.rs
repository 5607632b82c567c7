//! What this host tells of a failure, kept for a moment: a prober may fail a thousand times a second, for the same reason
//! each time, and a count of the sockets towards a peer takes longer than many a probe.

use std::{
    cell::RefCell,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tcpecho::Evidence;

/// After so long it is asked again.
const FRESH: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(in crate::ping) struct Host(RefCell<Vec<Answer>>);

#[derive(Debug)]
struct Answer {
    at: Instant,
    said: Option<Errno>,
    known: Evidence,
}

impl Host {
    /// Adds it to what is known of a failure: the peer's address, and what the failed call said.
    pub(super) fn tell(&self, evidence: &mut Evidence, peer: SocketAddr, said: Option<Errno>) {
        let mut answers = self.0.borrow_mut();
        answers.retain(|answer| answer.at.elapsed() < FRESH);
        let same = |answer: &&Answer| answer.known.peer == Some(peer) && answer.said == said;
        if let Some(Answer { known, .. }) = answers.iter().find(same) {
            (evidence.peer, evidence.kernel) = (known.peer, known.kernel);
            (evidence.route, evidence.towards) = (known.route, known.towards);
            (evidence.descriptor_limit, evidence.stack) = (known.descriptor_limit, known.stack);
            return;
        }
        evidence.ask_host(peer, said);
        answers.push(Answer { at: Instant::now(), said, known: evidence.clone() });
    }
}
