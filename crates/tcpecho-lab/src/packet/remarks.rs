//! Names a segment by the segments of its connection that were sent before it.
//!
//! Only what the segments prove is named. A retransmission has no byte that its host has not sent
//! before. A duplicate ACK is that of RFC 5681 2 or, with SACK, of RFC 6675 2. A probe is an empty
//! segment one byte below the next one, with nothing outstanding (RFC 9293 3.8.4 and 3.8.6.1).

use std::collections::HashMap;
use std::net::SocketAddr;

use super::{Flags, Tcp};

/// The number of SACK blocks that are remembered for each direction.
const MOST_BLOCKS: usize = 64;

/// What each direction has sent.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    directions: HashMap<(SocketAddr, SocketAddr), Direction>,
}

#[derive(Debug, Default)]
struct Direction {
    /// The sequence number of its SYN.
    syn: Option<u32>,
    /// The sequence number after the last byte that was sent.
    end: Option<u32>,
    /// The last acknowledgement.
    ack: Option<u32>,
    /// The last window, as the header has it. A SYN's window has another unit (RFC 7323 2.2).
    window: Option<u16>,
    /// The blocks that were reported since.
    sacked: Vec<(u32, u32)>,
}

impl Remarks {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.directions.clear();
    }

    /// Returns the names of this segment, which its host has sent.
    pub(super) fn of(&mut self, tcp: &Tcp, ends: (SocketAddr, SocketAddr)) -> Vec<&'static str> {
        let back = (ends.1, ends.0);
        let has = |flag| tcp.flags.has(flag);
        if has(Flags::RST) {
            return Vec::new();
        }
        if has(Flags::SYN) {
            let own = self.directions.entry(ends).or_default();
            if own.syn == Some(tcp.seq) {
                return vec!["retransmission"];
            }
            let ack = has(Flags::ACK).then_some(tcp.ack);
            let (syn, end) = (Some(tcp.seq), Some(tcp.end()));
            *own = Direction { syn, end, ack, ..Direction::default() };
            // A new connection: what the peer sent belongs to an older one.
            if !has(Flags::ACK) {
                self.directions.remove(&back);
            }
            return Vec::new();
        }
        let peer = self.directions.get(&back);
        let (peer_end, peer_ack) =
            peer.map_or((None, None), |direction| (direction.end, direction.ack));
        let own = self.directions.entry(ends).or_default();
        let mut names = Vec::new();
        let is_probe = own.is_probe(tcp, peer_ack);
        if is_probe {
            names.push("probe");
        }
        names.extend(own.repeats(tcp));
        if !is_probe && has(Flags::ACK) {
            names.extend(own.acknowledges(tcp, peer_end));
        }
        if tcp.window == 0 {
            names.push("zero window");
        }
        own.learn(tcp);
        names
    }
}

impl Direction {
    fn is_probe(&self, tcp: &Tcp, peer_ack: Option<u32>) -> bool {
        let is_empty = tcp.payload == 0 && !tcp.flags.has(Flags::FIN);
        is_empty && self.end == Some(tcp.seq.wrapping_add(1)) && peer_ack == self.end
    }

    fn repeats(&self, tcp: &Tcp) -> Option<&'static str> {
        let (end, sent) = (tcp.end(), self.end?);
        if end == tcp.seq || !is_before(tcp.seq, sent) {
            None
        } else if is_before(sent, end) {
            Some("partly retransmission")
        } else {
            Some("retransmission")
        }
    }

    fn acknowledges(&self, tcp: &Tcp, peer_end: Option<u32>) -> Option<&'static str> {
        if self.ack != Some(tcp.ack) || tcp.payload > 0 || tcp.flags.has(Flags::FIN) {
            return None;
        }
        let is_outstanding = peer_end.is_some_and(|end| is_before(tcp.ack, end));
        let is_covered = |block: &(u32, u32)| {
            let covers =
                |old: &(u32, u32)| !is_before(block.0, old.0) && !is_before(old.1, block.1);
            self.sacked.iter().any(covers)
        };
        let has_news =
            tcp.sack.iter().any(|block| is_before(tcp.ack, block.0) && !is_covered(block));
        let is_same_window = self.window == Some(tcp.window) && tcp.sack.is_empty();
        if is_outstanding && (has_news || is_same_window) {
            return Some("duplicate ACK");
        }
        let grows = self.window.is_some_and(|window| tcp.window > window);
        (grows && tcp.sack.is_empty()).then_some("window update")
    }

    fn learn(&mut self, tcp: &Tcp) {
        let end = tcp.end();
        if self.end.is_none_or(|sent| is_before(sent, end)) {
            self.end = Some(end);
        }
        self.window = Some(tcp.window);
        if tcp.flags.has(Flags::ACK) && self.ack.is_none_or(|ack| !is_before(tcp.ack, ack)) {
            self.ack = Some(tcp.ack);
            self.sacked.retain(|block| is_before(tcp.ack, block.1));
            self.sacked.extend(&tcp.sack);
            self.sacked.drain(..self.sacked.len().saturating_sub(MOST_BLOCKS));
        }
    }
}

/// Whether a sequence number comes before another (RFC 9293 3.4).
pub(super) fn is_before(one: u32, other: u32) -> bool {
    one != other && other.wrapping_sub(one) < 1 << 31
}
