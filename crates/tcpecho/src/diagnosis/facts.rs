//! A symptom and its evidence, and the questions that the table asks of them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::Errno;
use tcpecho_os::{
    error_queue::{Origin, QueuedError},
    icmp::Meaning,
    tcp_info::TcpInfo,
    tcp_state::TcpState,
};

use super::{Symptom, icmp};
use crate::{Ending, Evidence, NoAddress, evidence::Route};

/// The kernel of the peer answers a window probe only if it has answered none for so long (net.ipv4.tcp_invalid_ratelimit,
/// Linux's default).
const PROBE_ANSWERS: Duration = Duration::from_millis(500);
/// So many window probes that should have been answered and were not show that the peer is silent: one may be lost.
const LOST_PROBES: usize = 2;
/// A host does not reboot, and a NAT does not forget a connection, within this time. (The hosts of the lab take less than a
/// second.)
const FORGETTING: Duration = Duration::from_millis(200);
/// A server that resets a connection without serving it does so within this time: one retransmission timeout, and as much again
/// for hosts that are slow.
const SERVING: Duration = Duration::from_secs(3);

/// A symptom with its evidence.
pub(crate) struct Facts<'a> {
    pub(super) symptom: &'a Symptom,
    pub(super) evidence: &'a Evidence,
}

impl Facts<'_> {
    /// Returns the ending that the symptom alone suggests.
    pub(super) fn ending(&self) -> Ending {
        match self.symptom {
            Symptom::Error(error) if self.established() => Ending::of_established(error.source),
            Symptom::Error(error) if self.op() == "connect" => Ending::of_connect(error.source),
            Symptom::Error(error) => Ending::of_local(error.source),
            Symptom::EndOfFile => Ending::ClosedEarly,
            Symptom::Silence(_) => Ending::TimedOut,
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
        matches!(self.symptom, Symptom::Silence(_)) || self.broke(Errno::ETIMEDOUT)
    }

    /// No byte moved for the time allowed, and the connection lives.
    pub(super) fn silence(&self) -> bool {
        matches!(self.symptom, Symptom::Silence(_))
    }

    pub(super) fn end_of_file(&self) -> bool {
        matches!(self.symptom, Symptom::EndOfFile)
    }

    /// A socket of this host listens on the peer's address, or none does.
    pub(super) fn listens(&self, does: bool) -> bool {
        self.evidence.stack.listens == Some(does)
    }

    /// connect(2) failed before a packet could be sent.
    pub(super) fn never_sent(&self) -> bool {
        self.connect(Errno::ENETUNREACH) || self.connect(Errno::EADDRNOTAVAIL)
    }

    /// The connection broke because there is no route to the peer any more.
    pub(super) fn unreachable(&self) -> bool {
        self.broke(Errno::EHOSTUNREACH) || self.broke(Errno::ENETUNREACH)
    }

    /// bind(2) was refused.
    pub(super) fn bind_forbidden(&self) -> bool {
        self.failed("bind", Errno::EACCES) || self.failed("bind", Errno::EPERM)
    }

    /// connect(2) failed with an errno that usually means this.
    pub(super) fn connect_ended(&self, ending: Ending) -> bool {
        self.op() == "connect" && self.ending() == ending
    }

    pub(super) fn has_no_route(&self) -> bool {
        matches!(self.evidence.route, Some(Route::None(_)))
    }

    pub(super) fn window_is_closed(&self) -> bool {
        self.unacknowledged() && self.tcp(|tcp| tcp.snd_wnd == Some(0))
    }

    /// The window is closed, and the peer does not answer our probes any more. A probe counts if the peer's kernel would
    /// have answered it, and the answer has had the time to arrive.
    pub(super) fn window_probes_are_lost(&self) -> bool {
        let Some(tcp) = self.evidence.tcp.filter(|_| self.window_is_closed()) else { return false };
        let rto = Duration::from_micros(tcp.rto_us.into());
        let silent_for = Duration::from_millis(tcp.last_ack_recv_ms.into());
        let sent = self.evidence.kernel.window_probes(rto, tcp.backoff, tcp.probes);
        let late = |at: &Duration| *at + answer_time(&tcp) <= silent_for;
        let overdue = sent.filter(|at| *at >= PROBE_ANSWERS).filter(late);
        overdue.count() >= LOST_PROBES
    }

    /// A keepalive probe was not answered, and the answer has had the time to arrive.
    pub(super) fn keepalive_probe_is_lost(&self) -> bool {
        let Some(tcp) = self.evidence.tcp else { return false };
        let keepalive = self.evidence.keepalive.or(self.evidence.kernel.keepalive);
        let idle = keepalive.map_or(Duration::ZERO, |keepalive| keepalive.idle);
        let silent_for = Duration::from_millis(tcp.last_ack_recv_ms.into());
        // The second one is sent an interval after the first, which is a second at least.
        tcp.probes > 1 || tcp.probes == 1 && silent_for >= idle + answer_time(&tcp)
    }

    /// The peer's kernel acknowledged something just before we sent, so it knew the connection then.
    pub(super) fn was_acknowledged_lately(&self) -> bool {
        let quiet = |tcp: &TcpInfo| tcp.last_ack_recv_ms.saturating_sub(tcp.last_data_sent_ms);
        self.tcp(|tcp| Duration::from_millis(quiet(tcp).into()) < FORGETTING)
    }

    /// Nothing of ours was acknowledged and nothing received, and the connection is new.
    pub(super) fn never_served(&self) -> bool {
        let Evidence { written, received, elapsed, .. } = *self.evidence;
        let unacknowledged = self.evidence.acknowledged() == Some(0);
        elapsed < SERVING && received == 0 && (written == 0 || unacknowledged)
    }

    /// What the routing table says is this errno.
    pub(super) fn route_says(&self, errno: Errno) -> bool {
        self.evidence.route == Some(Route::None(errno))
    }

    /// Returns the last ICMP error, if the errno comes from it.
    pub(super) fn router(&self) -> Option<&QueuedError> {
        let from_icmp = |error: &&QueuedError| error.origin != Origin::Local;
        let last = self.evidence.routers.iter().rev().find(from_icmp)?;
        match self.symptom {
            Symptom::Error(error) => {
                (error.source == last.errno || error.source == Errno::ETIMEDOUT).then_some(last)
            }
            Symptom::Silence(_) => Some(last),
            _ => None,
        }
    }

    /// A router's ICMP error has this meaning.
    pub(super) fn router_says(&self, meaning: Meaning) -> bool {
        self.router().and_then(icmp::meaning) == Some(meaning)
    }

    /// The refusal came from an address of this host.
    pub(super) fn refused_here(&self) -> bool {
        let offender = self.router().and_then(|error| error.offender).map(|ip| ip.to_canonical());
        offender.is_some() && offender == self.own_address() && !self.peer_is_here()
    }

    /// The address of ours that packets to the peer carry.
    fn own_address(&self) -> Option<IpAddr> {
        let bound = self.evidence.local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
        let bound = bound.or(self.evidence.source).or(match self.evidence.route {
            Some(Route::Source(ip)) => Some(ip),
            _ => None,
        });
        bound.map(|ip| ip.to_canonical())
    }

    fn peer_ip(&self) -> Option<IpAddr> {
        self.evidence.peer.map(|peer| peer.ip().to_canonical())
    }

    /// The peer is this host itself: a loopback address, the unspecified one, which stands for it, or an address of its own.
    pub(super) fn peer_is_here(&self) -> bool {
        let own = match self.evidence.route {
            // The route to an address of this host has it as its source.
            Some(Route::Source(ip)) => Some(ip.to_canonical()),
            _ => self.own_address(),
        };
        self.peer_ip().is_some_and(|ip| ip.is_loopback() || ip.is_unspecified() || Some(ip) == own)
    }

    pub(super) fn peer_is_multicast(&self) -> bool {
        self.peer_ip().is_some_and(|ip| ip.is_multicast())
    }

    /// 255.255.255.255, or what the routing table calls a broadcast address: a UDP socket may not connect there.
    pub(super) fn peer_is_broadcast(&self) -> bool {
        self.peer_ip() == Some(Ipv4Addr::BROADCAST.into())
            || self.is(Errno::ENETUNREACH) && self.route_says(Errno::EACCES)
    }

    /// The peer's address is a link-local one of IPv6, which needs an interface, and has none.
    pub(super) fn peer_lacks_scope(&self) -> bool {
        self.evidence.peer.is_some_and(lacks_scope)
    }

    /// The peer's address names an interface that does not exist.
    pub(super) fn scope_is_unknown(&self) -> bool {
        self.evidence.stack.scope_exists == Some(false)
    }

    /// This host has no IPv6 address at all, and the peer's is one.
    pub(super) fn has_no_ipv6(&self) -> bool {
        self.peer_ip().is_some_and(|ip| ip.is_ipv6()) && self.evidence.stack.v6_addresses == Some(0)
    }

    /// What goes from this host to itself finds its loopback interface down.
    pub(super) fn loopback_is_down(&self) -> bool {
        self.peer_is_here() && self.evidence.stack.loopback_up == Some(false)
    }

    /// A loopback address is the source towards another host.
    pub(super) fn source_is_loopback(&self) -> bool {
        let source = self.evidence.source.map(|ip| ip.to_canonical());
        source.is_some_and(|ip| ip.is_loopback()) && !self.peer_is_here()
    }

    /// The source is IPv6 and the peer IPv4, written as `::ffff:…`.
    pub(super) fn families_differ(&self) -> bool {
        let source = self.evidence.source.map(|ip| ip.to_canonical().is_ipv6());
        source == Some(true) && self.peer_ip().is_some_and(|ip| ip.is_ipv4())
    }

    /// The address that the failed call itself was about: of bind(2), the source.
    pub(super) fn named(&self) -> Option<SocketAddr> {
        match self.symptom {
            Symptom::Error(error) => error.addr,
            _ => None,
        }
    }

    /// As many sockets go to the peer as there are ports to choose from.
    pub(super) fn ports_are_used_up(&self) -> bool {
        let ports = self.evidence.kernel.port_range.map(count);
        let towards = self.evidence.towards;
        ports.zip(towards).is_some_and(|(ports, towards)| towards.sockets >= ports as usize)
    }

    /// Both ends are one socket.
    pub(super) fn joined_to_itself(&self) -> bool {
        self.evidence.local.is_some() && self.evidence.local == self.evidence.peer
    }

    /// A field of TCP_INFO fulfils this.
    pub(super) fn tcp(&self, holds: impl Fn(&TcpInfo) -> bool) -> bool {
        self.evidence.tcp.as_ref().is_some_and(holds)
    }

    /// The connection is gone: an RST has come after the FIN. Where our FIN has gone too, a closed socket may as well be
    /// one in TIME_WAIT.
    pub(super) fn reset_after_fin(&self) -> bool {
        let gone = self.tcp(|tcp| tcp.state == TcpState::Close) && !self.evidence.fin_sent;
        gone || matches!(self.evidence.send_error, Some(Errno::EPIPE | Errno::ECONNRESET))
    }

    /// We have sent our FIN, and the peer's kernel has acknowledged it.
    pub(super) fn fin_acknowledged(&self) -> bool {
        self.evidence.fin_sent && self.evidence.queued == Some(0)
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
            && (self.is(Errno::ETIMEDOUT)
                || self.tcp(|tcp| tcp.retransmits > 0 || tcp.backoff > 0 || tcp.lost > 0))
    }

    /// Small segments came through and full-sized ones do not: either the peer has acknowledged later ones out of order, or
    /// all that it ever acknowledged was smaller.
    pub(super) fn large_ones_are_lost(&self) -> bool {
        let acknowledged = self.evidence.acknowledged().unwrap_or(0);
        let queued = u64::from(self.evidence.unacknowledged().unwrap_or(0));
        self.tcp(|tcp| {
            let full = u64::from(tcp.snd_mss);
            let notsent = u64::from(tcp.notsent_bytes.unwrap_or(0));
            // Where the kernel has given up, it has forgotten its queue.
            let outstanding_full = match u64::from(tcp.unacked) {
                0 => queued >= full,
                segments => queued.saturating_sub(notsent) * 10 >= segments * full * 9,
            };
            let segments = u64::from(tcp.delivered.unwrap_or(0)).saturating_sub(1);
            let acknowledged_small = acknowledged < full || acknowledged * 2 < segments * full;
            tcp.sacked > 0 || outstanding_full && acknowledged_small
        })
    }

    /// Everything that was sent has come back, or did not have to.
    pub(super) fn nothing_owed(&self) -> bool {
        let Evidence { written, returned, echo, .. } = *self.evidence;
        !echo || returned >= written
    }

    /// Every byte of the echo is here, and there were some.
    pub(super) fn everything_came_back(&self) -> bool {
        let Evidence { written, returned, unsent, echo, .. } = *self.evidence;
        echo && written > 0 && unsent == 0 && returned >= written
    }

    /// Replaces the placeholders in braces.
    pub(super) fn fill(&self, template: &str) -> String {
        let evidence = self.evidence;
        let show = |ip: Option<IpAddr>| ip.map_or("an unknown address".into(), |ip| ip.to_string());
        let host = self.peer_ip().map_or("the peer's address".into(), |ip| match evidence.peer {
            Some(SocketAddr::V6(peer)) if peer.scope_id() != 0 => {
                format!("{ip}%{}", peer.scope_id())
            }
            _ => ip.to_string(),
        });
        let ip = |ip: Option<IpAddr>| ip.map_or("an unknown address".into(), |ip| ip.to_string());
        let named = self.named();
        let mut text = template.to_owned();
        for (word, value) in [
            ("{name}", self.name()),
            ("{source}", ip(self.evidence.source.or(named.map(|addr| addr.ip())))),
            ("{port}", named.map_or("?".into(), |addr| addr.port().to_string())),
            ("{scope}", self.scope()),
            ("{large}", self.large_ping()),
            ("{acknowledged}", self.last_acknowledgement()),
            ("{peer}", evidence.peer.map_or("the peer".into(), |peer| peer.to_string())),
            ("{host}", host),
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

    /// The host as it was written.
    fn name(&self) -> String {
        match self.symptom {
            Symptom::Unresolved(error) => error.host.escape_debug().to_string(),
            _ => "the host".into(),
        }
    }

    fn scope(&self) -> String {
        match self.evidence.peer {
            Some(SocketAddr::V6(peer)) => peer.scope_id().to_string(),
            _ => "?".into(),
        }
    }

    /// A ping of a full-sized packet that may not be fragmented.
    fn large_ping(&self) -> String {
        match self.peer_ip() {
            // 1500 bytes without the headers of IP and ICMP.
            Some(ip @ IpAddr::V6(_)) => format!("ping -M do -s 1452 {ip}"),
            Some(ip @ IpAddr::V4(_)) => format!("ping -M do -s 1472 {ip}"),
            None => "ping -M do -s 1472".into(),
        }
    }

    /// Returns the time since the peer's last acknowledgement.
    fn last_acknowledgement(&self) -> String {
        let ago = self.evidence.tcp.map(|tcp| Duration::from_millis(tcp.last_ack_recv_ms.into()));
        ago.map_or("some time".into(), |ago| format!("{:.1} s", ago.as_secs_f64()))
    }

    /// The ports there are and how many are taken.
    fn ports(&self) -> String {
        let range = self.evidence.kernel.port_range;
        let range = range.map_or(String::new(), |(first, last)| {
            format!("{first} to {last}, {} ports", count((first, last)))
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

/// The longest that an answer usually takes: the retransmission timeout (RFC 6298 2.3) with the kernel's own minimum
/// (`TCP_RTO_MIN`), as the route may set a longer one.
fn answer_time(tcp: &TcpInfo) -> Duration {
    let micros = u64::from(tcp.rtt_us) + 4 * u64::from(tcp.rttvar_us);
    Duration::from_micros(micros).max(Duration::from_millis(200))
}

fn count((first, last): (u16, u16)) -> u32 {
    u32::from(last).saturating_sub(first.into()) + 1
}

/// Whether this is a link-local address of IPv6 without its interface.
pub(super) fn lacks_scope(addr: SocketAddr) -> bool {
    matches!(addr, SocketAddr::V6(addr) if addr.ip().is_unicast_link_local() && addr.scope_id() == 0)
}
