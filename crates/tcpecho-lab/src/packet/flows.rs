//! A packet in one line, with numbers relative to the beginning of its connection.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::remarks::{Remarks, is_before};
use super::{Flags, Icmp, Packet, Tcp, Transport};

/// The number of directions that are remembered; a program can make any number, and with more the
/// counting starts again.
const MOST: usize = 100_000;

/// What is known of each direction of each connection.
#[derive(Debug, Default)]
pub struct Flows {
    directions: HashMap<(SocketAddr, SocketAddr), Direction>,
    remarks: Remarks,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Direction {
    /// The sequence number that is shown as 0: that of its SYN.
    first: u32,
    /// The options of its SYN; `None` if no SYN was seen.
    opening: Option<Opening>,
    /// A SYN with another number, while the connection exists: it opens a new connection only if
    /// the peer's SYN-ACK acknowledges it.
    candidate: Option<(u32, Opening)>,
    /// The highest number of a host's segment, relative to the first. It does not wrap.
    newest: i64,
    /// The newest timestamp of a host's segment.
    timestamp: Option<u32>,
    /// Whether it has sent a FIN.
    is_finished: bool,
    /// Whether an RST has ended the connection.
    is_reset: bool,
}

/// What the options of a SYN say of the segments after it.
#[derive(Debug, Clone, Copy)]
struct Opening {
    scale: Option<u8>,
}

impl Direction {
    fn new(tcp: &Tcp) -> Self {
        let opening = Some(Opening { scale: tcp.window_scale });
        let timestamp = tcp.timestamps.map(|(value, _)| value);
        Direction { first: tcp.seq, opening, timestamp, ..Direction::default() }
    }

    /// Makes one of which no SYN was seen; its next number is shown as 1.
    fn unknown(next: u32) -> Self {
        Direction { first: next.wrapping_sub(1), ..Direction::default() }
    }

    /// A number relative to the first; negative for one that comes before it.
    fn relative(&self, number: u32) -> i64 {
        let newest = self.first.wrapping_add(self.newest as u32);
        self.newest + i64::from(number.wrapping_sub(newest) as i32)
    }

    /// Whether a SYN opens a new connection while the old one is in `TIME_WAIT`: with a later
    /// timestamp, or with a higher number and no older timestamp (RFC 6191 2).
    fn reopens(&self, tcp: &Tcp) -> bool {
        let value = tcp.timestamps.map(|(value, _)| value);
        match (self.timestamp, value) {
            (Some(newest), Some(value)) if is_before(newest, value) => true,
            (Some(newest), Some(value)) if is_before(value, newest) => false,
            _ => self.relative(tcp.seq) > self.newest,
        }
    }
}

/// Where a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Host,
    /// The wire made it: it says nothing of what its sender has sent.
    Wire,
}

impl Flows {
    /// The packet that a host has sent, as [`Flows::line`], with what it is by the packets before:
    /// `ACK seq=1 ack=1 win=510, duplicate ACK`.
    pub fn sent(&mut self, packet: &Packet) -> String {
        let mut line = self.line_of(packet, Origin::Host);
        if let (Some(tcp), Some(ends)) = (packet.tcp(), packet.ends()) {
            for remark in self.remarks.of(tcp, ends) {
                let _ = write!(line, ", {remark}");
            }
        }
        line
    }

    /// The packet in one line: `SYN-ACK seq=0 ack=1 win=65160 mss=1460 ws=7 sack ts`.
    ///
    /// After a handshake with window scaling, the window is in bytes. `old ts` is a timestamp that
    /// is older than the newest of its direction.
    pub fn line(&mut self, packet: &Packet) -> String {
        self.line_of(packet, Origin::Wire)
    }

    fn line_of(&mut self, packet: &Packet, origin: Origin) -> String {
        match (&packet.transport, packet.ends()) {
            (Transport::Tcp(tcp), Some(ends)) => self.tcp(tcp, ends, origin),
            (Transport::Icmp(icmp), _) => self.icmp(icmp, packet),
            (Transport::Other(number), _) => format!("protocol {number}"),
            (Transport::Tcp(_), None) => String::new(),
        }
    }

    fn tcp(&mut self, tcp: &Tcp, ends: (SocketAddr, SocketAddr), origin: Origin) -> String {
        if self.directions.len() > MOST {
            self.directions.clear();
            self.remarks.clear();
        }
        let back = (ends.1, ends.0);
        let has = |flag| tcp.flags.has(flag);
        if has(Flags::SYN) {
            self.open(tcp, ends);
        }
        let mut line = tcp.flags.to_string();
        let _ = write!(line, " seq={}", self.seq(tcp, ends));
        if has(Flags::ACK) {
            let peer = self.directions.entry(back).or_insert_with(|| Direction::unknown(tcp.ack));
            let _ = write!(line, " ack={}", peer.relative(tcp.ack));
        }
        if !has(Flags::RST) {
            let _ = write!(line, " win={}", self.window(tcp, ends));
        }
        if has(Flags::SYN) {
            line += &options(tcp);
        }
        if tcp.payload > 0 {
            let _ = write!(line, " len={}", tcp.payload);
        }
        if has(Flags::URG) {
            let _ = write!(line, " urg={}", tcp.urgent_pointer);
        }
        if let Some(peer) = self.directions.get(&back) {
            line += &blocks(tcp, peer);
        }
        if self.has_old_timestamp(tcp, ends) {
            line += " old ts";
        }
        self.learn(tcp, ends, origin);
        line
    }

    /// Begins to count where a SYN opens a connection. One that meets a connection which is still
    /// known does not, until a SYN-ACK accepts it.
    fn open(&mut self, tcp: &Tcp, ends: (SocketAddr, SocketAddr)) {
        let back = (ends.1, ends.0);
        let peer = self.directions.get_mut(&back);
        if tcp.flags.has(Flags::ACK) {
            let Some(peer) = peer else {
                self.directions.insert(ends, Direction::new(tcp));
                return;
            };
            let acknowledged = tcp.ack.wrapping_sub(1);
            if let Some((_, opening)) = peer.candidate.filter(|(seq, _)| *seq == acknowledged) {
                *peer = Direction {
                    first: acknowledged,
                    opening: Some(opening),
                    ..Direction::default()
                };
            }
            // A SYN with data is acknowledged with them (RFC 7413 3).
            let is_answer = (1..=peer.newest.max(1)).contains(&peer.relative(tcp.ack));
            let is_new = self
                .directions
                .get(&ends)
                .is_none_or(|own| own.opening.is_none() || (is_answer && own.first != tcp.seq));
            if is_new {
                self.directions.insert(ends, Direction::new(tcp));
            }
            return;
        }
        let is_accepted = peer.is_some();
        let is_reset = peer.as_ref().is_some_and(|peer| peer.is_reset);
        let is_finished = peer.is_some_and(|peer| peer.is_finished);
        match self.directions.get_mut(&ends) {
            None => {
                self.directions.insert(ends, Direction::new(tcp));
            }
            Some(own) if own.first == tcp.seq && !own.is_reset && !is_reset => {}
            Some(own) => {
                let has_ended = own.is_finished && is_finished && own.reopens(tcp);
                let is_over = own.is_reset || is_reset || has_ended;
                if is_over || !is_accepted {
                    *own = Direction::new(tcp);
                    self.directions.remove(&back);
                } else {
                    own.candidate = Some((tcp.seq, Opening { scale: tcp.window_scale }));
                }
            }
        }
    }

    fn seq(&mut self, tcp: &Tcp, ends: (SocketAddr, SocketAddr)) -> i64 {
        // An RST that answers a SYN has the sequence number 0 (RFC 9293 3.5.2).
        if tcp.flags.has(Flags::RST) {
            let own = self.directions.get(&ends);
            let relative = own.map(|own| (own.relative(tcp.seq), own.newest));
            return match relative {
                Some((seq, newest)) if tcp.seq != 0 || (0..=newest.max(1)).contains(&seq) => seq,
                _ => tcp.seq.into(),
            };
        }
        let own = self.directions.entry(ends).or_insert_with(|| Direction::unknown(tcp.seq));
        own.relative(tcp.seq)
    }

    /// The window in bytes; as the header has it in a SYN, and where the scale is not known (RFC
    /// 7323 2.2).
    fn window(&self, tcp: &Tcp, ends: (SocketAddr, SocketAddr)) -> u32 {
        let scale = |ends| self.directions.get(&ends)?.opening?.scale;
        let window = u32::from(tcp.window);
        match (scale(ends), scale((ends.1, ends.0))) {
            (Some(scale), Some(_)) if !tcp.flags.has(Flags::SYN) => window << scale.min(14),
            _ => window,
        }
    }

    fn has_old_timestamp(&self, tcp: &Tcp, ends: (SocketAddr, SocketAddr)) -> bool {
        let newest = self.directions.get(&ends).and_then(|own| own.timestamp);
        let (Some(newest), Some((value, _))) = (newest, tcp.timestamps) else { return false };
        // A SYN may belong to another connection, and an RST is not checked (RFC 7323 5.2).
        let is_checked = !tcp.flags.has(Flags::SYN) && !tcp.flags.has(Flags::RST);
        is_checked && is_before(value, newest)
    }

    fn learn(&mut self, tcp: &Tcp, ends: (SocketAddr, SocketAddr), origin: Origin) {
        let Some(own) = self.directions.get_mut(&ends) else {
            // The refusal of a SYN.
            if let Some(peer) = self.directions.get_mut(&(ends.1, ends.0)) {
                peer.is_reset |= tcp.flags.has(Flags::RST);
            }
            return;
        };
        if tcp.flags.has(Flags::RST) {
            // One that does not have the next number is not accepted (RFC 5961 3.2).
            let is_next = own.relative(tcp.seq) == own.newest;
            own.is_reset |= is_next || origin == Origin::Host;
            return;
        }
        let is_other_syn = tcp.flags.has(Flags::SYN) && own.first != tcp.seq;
        if origin == Origin::Wire || is_other_syn {
            return;
        }
        own.is_finished |= tcp.flags.has(Flags::FIN);
        let end = own.relative(tcp.end());
        // A window has at most 1 GiB (RFC 7323 2.3).
        if (own.newest..own.newest + (1 << 30)).contains(&end) {
            own.newest = end;
        }
        let newest = own.timestamp;
        if let Some((value, _)) = tcp.timestamps
            && newest.is_none_or(|newest| is_before(newest, value))
        {
            own.timestamp = Some(value);
        }
    }

    fn icmp(&self, icmp: &Icmp, packet: &Packet) -> String {
        let mut line = format!("ICMP {}", icmp.words());
        if let Some((source, destination, seq)) = icmp.about {
            let source = SocketAddr::new(packet.destination, source);
            let direction = self
                .directions
                .iter()
                .find(|((from, to), _)| *from == source && to.port() == destination);
            let seq = direction.map_or(i64::from(seq), |(_, own)| own.relative(seq));
            let _ = write!(line, " about seq={seq}");
        }
        line
    }
}

/// The options of a SYN: ` mss=1460 ws=7 sack ts fo=cookie`. A Fast Open option without a cookie
/// asks for one (RFC 7413 4.1.1).
fn options(tcp: &Tcp) -> String {
    let mut text = String::new();
    if let Some(mss) = tcp.mss {
        let _ = write!(text, " mss={mss}");
    }
    if let Some(scale) = tcp.window_scale {
        let _ = write!(text, " ws={scale}");
    }
    if tcp.sack_permitted {
        text += " sack";
    }
    if tcp.timestamps.is_some() {
        text += " ts";
    }
    match tcp.fast_open.as_ref().map(Vec::len) {
        Some(0) => text += " fo=request",
        Some(_) => text += " fo=cookie",
        None => {}
    }
    text
}

/// The SACK blocks of a segment: ` sack=4-7,10-12`. The first is a D-SACK if it is below the
/// acknowledgement or within the second (RFC 2883 4).
fn blocks(tcp: &Tcp, peer: &Direction) -> String {
    let relative = |(left, right): &(u32, u32)| (peer.relative(*left), peer.relative(*right));
    let ack = peer.relative(tcp.ack);
    let blocks: Vec<(i64, i64)> = tcp.sack.iter().map(relative).collect();
    let is_duplicate = blocks.first().is_some_and(|(left, right)| {
        let is_within = |other: &(i64, i64)| other.0 <= *left && *right <= other.1;
        *right <= ack || blocks.get(1).is_some_and(is_within)
    });
    let words: Vec<String> = blocks.iter().map(|(left, right)| format!("{left}-{right}")).collect();
    let (duplicate, rest) = words.split_at(usize::from(is_duplicate));
    let mut text = String::new();
    for (name, blocks) in [("dsack", duplicate), ("sack", rest)] {
        if !blocks.is_empty() {
            let _ = write!(text, " {name}={}", blocks.join(","));
        }
    }
    text
}
