//! A packet in one line, with numbers relative to the beginning of its connection.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::remarks::Remarks;
use super::{Flags, Icmp, Packet, Tcp, Transport};

/// The number of directions that are remembered; a program can make any number, and with more the
/// counting starts again.
const MOST: usize = 100_000;

/// The first sequence number of each direction.
#[derive(Debug, Default)]
pub struct Flows {
    first: HashMap<(SocketAddr, SocketAddr), u32>,
    remarks: Remarks,
}

impl Flows {
    /// The packet that a host has sent, as [`Flows::line`], with what it is by the packets before:
    /// `ACK seq=1 ack=1 win=510, duplicate ACK`.
    pub fn sent(&mut self, packet: &Packet) -> String {
        let mut line = self.line(packet);
        if let (Some(tcp), Some(ends)) = (packet.tcp(), packet.ends()) {
            for remark in self.remarks.of(tcp, ends) {
                let _ = write!(line, ", {remark}");
            }
        }
        line
    }

    /// The packet in one line: `SYN-ACK seq=0 ack=1 win=65160 mss=1460`.
    pub fn line(&mut self, packet: &Packet) -> String {
        match (&packet.transport, packet.ends()) {
            (Transport::Tcp(tcp), Some(ends)) => self.tcp(tcp, ends),
            (Transport::Icmp(icmp), _) => self.icmp(icmp, packet),
            (Transport::Other(number), _) => format!("protocol {number}"),
            (Transport::Tcp(_), None) => String::new(),
        }
    }

    fn tcp(&mut self, tcp: &Tcp, (source, destination): (SocketAddr, SocketAddr)) -> String {
        if self.first.len() > MOST {
            self.first.clear();
            self.remarks.clear();
        }
        let mut line = tcp.flags.to_string();
        let seq = self.seq(tcp, (source, destination));
        let _ = write!(line, " seq={seq}");
        if tcp.flags.has(Flags::ACK) {
            let back = (destination, source);
            let first = *self.first.entry(back).or_insert(tcp.ack.wrapping_sub(1));
            let _ = write!(line, " ack={}", tcp.ack.wrapping_sub(first));
        }
        if !tcp.flags.has(Flags::RST) {
            let _ = write!(line, " win={}", tcp.window);
        }
        if let Some(mss) = tcp.mss {
            let _ = write!(line, " mss={mss}");
        }
        if tcp.payload > 0 {
            let _ = write!(line, " len={}", tcp.payload);
        }
        if let Some(first) = self.first.get(&(destination, source)) {
            line += &blocks(tcp, *first);
        }
        line
    }

    fn seq(&mut self, tcp: &Tcp, ends: (SocketAddr, SocketAddr)) -> u32 {
        if tcp.flags.has(Flags::SYN) {
            self.first.insert(ends, tcp.seq);
            return 0;
        }
        match self.first.get(&ends) {
            Some(first) => tcp.seq.wrapping_sub(*first),
            // An RST of an unknown connection has the sequence number 0 (RFC 9293 3.5.2).
            None if tcp.flags.has(Flags::RST) => tcp.seq,
            None => {
                self.first.insert(ends, tcp.seq.wrapping_sub(1));
                1
            }
        }
    }

    fn icmp(&self, icmp: &Icmp, packet: &Packet) -> String {
        let mut line = format!("ICMP {}", icmp.words());
        if let Some((source, destination, seq)) = icmp.about {
            let source = SocketAddr::new(packet.destination, source);
            let first = self
                .first
                .iter()
                .find(|((from, to), _)| *from == source && to.port() == destination);
            let seq = first.map_or(seq, |(_, first)| seq.wrapping_sub(*first));
            let _ = write!(line, " about seq={seq}");
        }
        line
    }
}

/// The SACK blocks of a segment: ` sack=4-7,10-12`. The first is a D-SACK if it is below the
/// acknowledgement or within the second (RFC 2883 4).
fn blocks(tcp: &Tcp, first: u32) -> String {
    let relative =
        |(left, right): &(u32, u32)| (left.wrapping_sub(first), right.wrapping_sub(first));
    let ack = tcp.ack.wrapping_sub(first);
    let blocks: Vec<(u32, u32)> = tcp.sack.iter().map(relative).collect();
    let is_duplicate = blocks.first().is_some_and(|(left, right)| {
        let is_within = |other: &(u32, u32)| other.0 <= *left && *right <= other.1;
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
