//! A symptom and its evidence, and the questions that the table asks of them.

use std::net::IpAddr;

use rustix::io::Errno;
use tcpecho_os::{
    error_queue::{Origin, QueuedError},
    tcp_info::TcpInfo,
    tcp_state::TcpState,
};

use super::{
    Symptom,
    icmp::{self, Refusal},
};
use crate::{Ending, Evidence, NoAddress, evidence::Route};

/// What there is to judge by.
pub(crate) struct Sight<'a> {
    pub(super) symptom: &'a Symptom,
    pub(super) evidence: &'a Evidence,
}

impl Sight<'_> {
    /// What the symptom is without any evidence.
    pub(super) fn ending(&self) -> Ending {
        match self.symptom {
            Symptom::Error(error) if self.established() => Ending::of_established(error.source),
            Symptom::Error(error) => Ending::of_connect(error.source),
            Symptom::EndOfFile => Ending::ClosedEarly,
            Symptom::Silence(_) => Ending::GaveUp,
            Symptom::Unresolved(_) => Ending::ResolveFailed,
            Symptom::Different { .. } => Ending::Mismatch,
        }
    }

    pub(super) fn established(&self) -> bool {
        self.evidence.phase.is_established()
    }

    /// The name gave no address, for this reason.
    pub(super) fn unresolved(&self, why: NoAddress) -> bool {
        matches!(self.symptom, Symptom::Unresolved(error) if error.why == why)
    }

    pub(super) fn op(&self) -> &str {
        match self.symptom {
            Symptom::Error(error) => error.op.split(' ').next().unwrap_or_default(),
            _ => "",
        }
    }

    pub(super) fn is(&self, errno: Errno) -> bool {
        self.symptom.errno() == Some(errno)
    }

    /// The call `op` failed with that.
    pub(super) fn failed(&self, op: &str, errno: Errno) -> bool {
        self.op() == op && self.is(errno)
    }

    /// connect(2) failed with that.
    pub(super) fn connect(&self, errno: Errno) -> bool {
        self.failed("connect", errno)
    }

    /// A call on the established connection failed with that.
    pub(super) fn broke(&self, errno: Errno) -> bool {
        self.established() && self.is(errno)
    }

    /// The connection broke by what an ICMP error became.
    pub(super) fn turned_back(&self, ending: Ending) -> bool {
        let errno = self.symptom.errno().filter(|_| self.established());
        errno.is_some_and(|errno| Ending::of_established(errno) == ending)
    }

    /// Nothing came back in time: by the kernel's clock or by ours.
    pub(super) fn unanswered(&self) -> bool {
        matches!(self.symptom, Symptom::Silence(_)) || self.broke(Errno::TIMEDOUT)
    }

    pub(super) fn end_of_file(&self) -> bool {
        matches!(self.symptom, Symptom::EndOfFile)
    }

    /// What the routing table says is this errno.
    pub(super) fn route_says(&self, errno: Errno) -> bool {
        self.evidence.route == Some(Route::None(errno))
    }

    /// The last that a router said, and that counts only where the errno is its doing.
    pub(super) fn router(&self) -> Option<&QueuedError> {
        let from_icmp = |error: &&QueuedError| error.origin != Origin::Local;
        let last = self.evidence.routers.iter().rev().find(from_icmp)?;
        match self.symptom {
            Symptom::Error(error) => {
                (error.source == last.errno || error.source == Errno::TIMEDOUT).then_some(last)
            }
            Symptom::Silence(_) => Some(last),
            _ => None,
        }
    }

    /// A router has refused so.
    pub(super) fn refused(&self, refusal: Refusal) -> bool {
        self.router().and_then(icmp::refusal) == Some(refusal)
    }

    /// The refusal came from an address of this host.
    pub(super) fn refused_here(&self) -> bool {
        let offender = self.router().and_then(|error| error.offender);
        offender.is_some() && offender == self.own_address() && !self.peer_is_here()
    }

    fn own_address(&self) -> Option<IpAddr> {
        let bound = self.evidence.local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
        bound.or(match self.evidence.route {
            Some(Route::Source(ip)) => Some(ip),
            _ => None,
        })
    }

    /// The peer is this host itself.
    pub(super) fn peer_is_here(&self) -> bool {
        self.evidence
            .peer
            .is_some_and(|peer| peer.ip().is_loopback() || Some(peer.ip()) == self.own_address())
    }

    /// Both ends are one socket.
    pub(super) fn joined_to_itself(&self) -> bool {
        self.evidence.local.is_some() && self.evidence.local == self.evidence.peer
    }

    /// A field of TCP_INFO fulfils this.
    pub(super) fn tcp(&self, holds: impl Fn(&TcpInfo) -> bool) -> bool {
        self.evidence.tcp.as_ref().is_some_and(holds)
    }

    /// The connection is gone: an RST has come after the FIN.
    pub(super) fn reset_after_fin(&self) -> bool {
        self.tcp(|tcp| tcp.state == TcpState::Close)
            || self.evidence.send_error == Some(Errno::PIPE)
    }

    /// Bytes or a FIN of ours that the peer's kernel has not acknowledged.
    pub(super) fn unacknowledged(&self) -> bool {
        self.evidence.queued.is_some_and(|bytes| bytes > 0)
    }

    /// We have sent, and the peer has acknowledged and sent nothing since the handshake.
    pub(super) fn never_taken_in(&self) -> bool {
        let Evidence { written, received, .. } = *self.evidence;
        written > 0 && received == 0 && self.evidence.acknowledged() == Some(0)
    }

    /// Retransmitted, and without effect.
    pub(super) fn retransmits_in_vain(&self) -> bool {
        self.unacknowledged()
            && (self.is(Errno::TIMEDOUT)
                || self.tcp(|tcp| tcp.retransmits > 0 || tcp.backoff > 0 || tcp.lost > 0))
    }

    /// Everything that was sent has come back, or did not have to.
    pub(super) fn nothing_owed(&self) -> bool {
        let Evidence { written, returned, echo, .. } = *self.evidence;
        !echo || returned >= written
    }

    /// Puts what is known in the place of the words in braces.
    pub(super) fn fill(&self, template: &str) -> String {
        let evidence = self.evidence;
        let show = |ip: Option<IpAddr>| ip.map_or("somebody".into(), |ip| ip.to_string());
        let mut text = template.to_owned();
        for (word, value) in [
            ("{peer}", evidence.peer.map_or("the peer".into(), |peer| peer.to_string())),
            ("{host}", show(evidence.peer.map(|peer| peer.ip()))),
            ("{router}", show(self.router().and_then(|error| error.offender))),
            ("{icmp}", self.router().map_or(String::new(), icmp::name)),
            ("{ports}", self.ports()),
            ("{limit}", evidence.descriptor_limit.map_or("?".into(), |limit| limit.to_string())),
            ("{drops}", evidence.own_drops.unwrap_or(0).to_string()),
        ] {
            if text.contains(word) {
                text = text.replace(word, &value);
            }
        }
        text
    }

    /// The ports there are and how many are taken.
    fn ports(&self) -> String {
        let range = self.evidence.kernel.port_range;
        let range = range.map_or(String::new(), |(first, last)| {
            let count = u32::from(last).saturating_sub(first.into()) + 1;
            format!("{first} to {last}, {count} ports")
        });
        match self.evidence.towards {
            Some(towards) => {
                let or_more = if towards.or_more { " or more" } else { "" };
                let (sockets, waiting) = (towards.sockets, towards.time_wait);
                format!("{range}; {sockets}{or_more} sockets go there, {waiting} in TIME_WAIT")
            }
            None => range,
        }
    }
}
