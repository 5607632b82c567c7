//! Packets: parses IP packets from bytes that nobody vouches for.
//!
//! No bytes make this panic. What it does not understand is named and left unchanged. RFC 791,
//! 8200, 9293, 792, 4443.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

mod build;
mod checksum;
mod fields;
mod flags;
mod flows;
mod icmp;
mod remarks;
mod tcp;

pub use build::{Segment, icmp_error, reset_receiver, reset_sender, segment};
pub use checksum::{are_right, repair};
pub use fields::{Layer, layers};
pub use flags::Flags;
pub use flows::Flows;
pub use icmp::{Icmp, IcmpError};
pub use tcp::Tcp;

/// A parsed IP packet and its bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Packet {
    bytes: Arc<[u8]>,
    /// The sender's address.
    pub source: IpAddr,
    /// The receiver's address.
    pub destination: IpAddr,
    /// What the IP packet carries.
    pub transport: Transport,
}

/// What an IP packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A TCP segment.
    Tcp(Tcp),
    /// An ICMP or `ICMPv6` message.
    Icmp(Icmp),
    /// Another protocol, a fragment, or an IPv6 extension header: its number.
    Other(u8),
}

/// The offsets of a packet's parts.
pub(crate) struct Layout {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    /// The transport header and payload.
    pub(crate) body: Range<usize>,
    /// Whether it is a fragment: its body cannot be read alone.
    pub(crate) fragment: bool,
}

impl Packet {
    /// Parses a packet as an interface delivers it.
    ///
    /// # Errors
    /// The error in the bytes, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let layout = Layout::of(bytes)?;
        let body = &bytes[layout.body.clone()];
        let transport = match layout.protocol {
            protocol if layout.fragment => Transport::Other(protocol),
            6 => Transport::Tcp(Tcp::parse(body)?),
            1 if layout.source.is_ipv4() => Transport::Icmp(Icmp::parse(body, false)?),
            58 if layout.source.is_ipv6() => Transport::Icmp(Icmp::parse(body, true)?),
            protocol => Transport::Other(protocol),
        };
        let Layout { source, destination, .. } = layout;
        Ok(Packet { bytes: bytes.into(), source, destination, transport })
    }

    /// The bytes, from the IP header on.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The TCP segment, if it is one.
    #[must_use]
    pub fn tcp(&self) -> Option<&Tcp> {
        match &self.transport {
            Transport::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }

    /// The ICMP message, if it is one.
    #[must_use]
    pub fn icmp(&self) -> Option<&Icmp> {
        match &self.transport {
            Transport::Icmp(icmp) => Some(icmp),
            _ => None,
        }
    }

    /// The sender and receiver of a TCP segment.
    #[must_use]
    pub fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let tcp = self.tcp()?;
        let source = SocketAddr::new(self.source, tcp.source_port);
        Some((source, SocketAddr::new(self.destination, tcp.destination_port)))
    }

    /// The payload of a TCP segment; empty for everything else.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let length = self.tcp().map_or(0, |tcp| tcp.payload);
        let end = Layout::of(&self.bytes).map_or(0, |layout| layout.body.end);
        self.bytes.get(end.saturating_sub(length)..end).unwrap_or_default()
    }

    /// Whether it is a packet that an IPv6 host sends by itself: neighbour and router discovery,
    /// and multicast reports.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        match &self.transport {
            Transport::Icmp(icmp) => icmp.ipv6 && matches!(icmp.kind, 130..=137 | 143),
            Transport::Other(next_header) => self.source.is_ipv6() && *next_header == 0,
            Transport::Tcp(_) => false,
        }
    }
}

impl Layout {
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, &'static str> {
        match bytes.first().map(|byte| byte >> 4) {
            Some(4) => Self::ipv4(bytes),
            Some(6) => Self::ipv6(bytes),
            _ => Err("neither IPv4 nor IPv6"),
        }
    }

    fn ipv4(bytes: &[u8]) -> Result<Self, &'static str> {
        let header: &[u8; 20] = bytes.first_chunk().ok_or("IPv4 header is truncated")?;
        let start = usize::from(header[0] & 15) * 4;
        let end = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if start < 20 || end < start || end > bytes.len() {
            return Err("IPv4 lengths contradict each other");
        }
        let [_, _, _, _, _, _, f0, f1, ..] = *header;
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
        Ok(Layout {
            source: Ipv4Addr::new(s0, s1, s2, s3).into(),
            destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
            protocol: header[9],
            body: start..end,
            // More fragments, or an offset.
            fragment: u16::from_be_bytes([f0, f1]) & 0x3fff != 0,
        })
    }

    fn ipv6(bytes: &[u8]) -> Result<Self, &'static str> {
        let header: &[u8; 40] = bytes.first_chunk().ok_or("IPv6 header is truncated")?;
        let end = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
        if end > bytes.len() {
            return Err("IPv6 payload is truncated");
        }
        let address = |at: usize| {
            let octets: [u8; 16] = std::array::from_fn(|byte| header[at + byte]);
            IpAddr::from(Ipv6Addr::from(octets))
        };
        Ok(Layout {
            source: address(8),
            destination: address(24),
            protocol: header[6],
            body: 40..end,
            fragment: false,
        })
    }
}

/// Reads a big-endian number, if the bytes exist.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_be_bytes(*chunk))
}

/// Reads a big-endian number, if the bytes exist.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}

#[cfg(test)]
mod tests;
