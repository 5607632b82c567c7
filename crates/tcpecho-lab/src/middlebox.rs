//! A middlebox that has watched all connections and ends them with resets, in each peer's name to the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tcpecho_os::tcp_state::TcpState;

use crate::packet::{Packet, reset_receiver, reset_sender};
use crate::side::{Family, Side};
use crate::timeline::{Moment, What};
use crate::two_hosts::TwoHosts;

/// The last packet that arrived of each direction, by numbers, not by time.
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
                // Numbers go round; and a port that is used again begins with another SYN.
                let is_new = tcp.flags.has(crate::Flags::SYN)
                    || later.is_none_or(|last| tcp.end().wrapping_sub(last.end()) < 1 << 31);
                if is_new {
                    watched.arrived.insert(ends, (seen.from, seen.packet.clone()));
                }
            }
        }
        watched
    }

    /// The reset that this end believes, if anything has been seen of the connection.
    fn reset_for(&self, own: SocketAddr, peer: SocketAddr) -> Option<Vec<u8>> {
        let has_got = self.arrived.get(&(peer, own)).map(|(_, packet)| packet);
        let has_sent = self.arrived.get(&(own, peer)).map(|(_, packet)| packet);
        has_got.and_then(reset_receiver).or_else(|| has_sent.and_then(reset_sender))
    }
}

impl TwoHosts {
    /// Ends every connection that has been made and seen, with an RST for each of its ends; tells how many were given.
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
