//! A middlebox that has watched all connections and resets them, in each peer's name to the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tcpecho_os::tcp_state::TcpState;

use crate::packet::{Packet, reset_receiver, reset_sender};
use crate::side::{Family, Side};
use crate::timeline::{Moment, What};
use crate::two_hosts::TwoHosts;

/// The last packet of each direction that arrived, by sequence number, not by time.
#[derive(Default)]
struct Watched {
    arrived: BTreeMap<(SocketAddr, SocketAddr), (Side, Packet)>,
}

impl Watched {
    fn of(moments: &[Moment]) -> Self {
        let mut watched = Watched::default();
        for moment in moments {
            if let What::Packet(seen) = &moment.what
                && seen.verdict.has_arrived()
                && let (Some(ends), Some(tcp)) = (seen.packet.ends(), seen.packet.tcp())
            {
                let later = watched.arrived.get(&ends).and_then(|(_, last)| last.tcp());
                // Sequence numbers wrap; and a port that is used again begins with another SYN.
                let is_new = tcp.flags.has(crate::Flags::SYN)
                    || later.is_none_or(|last| tcp.end().wrapping_sub(last.end()) < 1 << 31);
                if is_new {
                    watched.arrived.insert(ends, (seen.from, seen.packet.clone()));
                }
            }
        }
        watched
    }

    /// The RST that this end accepts, if any packet of the connection was seen.
    fn reset_for(&self, own: SocketAddr, peer: SocketAddr) -> Option<Vec<u8>> {
        let has_got = self.arrived.get(&(peer, own)).map(|(_, packet)| packet);
        let has_sent = self.arrived.get(&(own, peer)).map(|(_, packet)| packet);
        has_got.and_then(reset_receiver).or_else(|| has_sent.and_then(reset_sender))
    }
}

impl TwoHosts {
    /// Resets every connection that was seen, with an RST for each end; returns the number of RSTs.
    #[allow(clippy::must_use_candidate, reason = "the number is often not wanted")]
    pub fn reset_connections(&self, family: Family) -> usize {
        let watched = Watched::of(&self.timeline.since(0));
        let mut given = 0;
        for side in Side::BOTH {
            for socket in self.host(side).sockets(family) {
                if is_connected(socket.state)
                    && let Some(reset) = watched.reset_for(socket.local, socket.remote)
                {
                    self.wire.inject(side, &reset, "by a middlebox, in the peer's name");
                    given += 1;
                }
            }
        }
        given
    }
}

fn is_connected(state: TcpState) -> bool {
    use TcpState::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck};
    matches!(state, Established | FinWait1 | FinWait2 | CloseWait | LastAck | Closing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flags;
    use crate::packet::{Segment, segment};

    fn ends() -> (SocketAddr, SocketAddr) {
        (([192, 0, 2, 10], 5000).into(), ([198, 51, 100, 20], 7).into())
    }

    fn sees(watched: &mut Watched, from: SocketAddr, to: SocketAddr, seq: u32, ack: u32) {
        let flags = Flags::PSH | Flags::ACK;
        let made = Segment {
            seq,
            ack,
            flags,
            window: 100,
            payload: b"hello".to_vec(),
            ..Segment::default()
        };
        let packet = Packet::parse(&segment(from, to, &made)).unwrap();
        watched.arrived.insert((from, to), (Side::Client, packet));
    }

    /// RFC 5961 3.2: a receiver believes a reset only with the number that it expects next.
    #[test]
    fn a_reset_carries_the_peer_s_name_and_the_number_that_is_expected() {
        let (client, server) = ends();
        let mut watched = Watched::default();
        assert_eq!(watched.reset_for(client, server), None, "nothing was seen of it");
        sees(&mut watched, client, server, 1000, 2000);
        let number = |watched: &Watched, own, peer| {
            let reset = watched.reset_for(own, peer).map(|bytes| Packet::parse(&bytes).unwrap());
            reset.map(|reset| {
                assert_eq!(reset.ends(), Some((peer, own)));
                assert!(reset.tcp().unwrap().flags.has(Flags::RST));
                reset.tcp().unwrap().seq
            })
        };
        assert_eq!(number(&watched, server, client), Some(1005), "behind what it got");
        assert_eq!(number(&watched, client, server), Some(2000), "what it acknowledged");
        sees(&mut watched, server, client, 2000, 1005);
        assert_eq!(number(&watched, client, server), Some(2005), "behind what it got");
        let other = ([198, 51, 100, 20], 8).into();
        assert_eq!(number(&watched, client, other), None);
    }
}
