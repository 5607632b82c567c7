//! ICMP and `ICMPv6` messages (RFC 792, 4443), and the errors that a router sends.

use std::fmt;

use tcpecho_os::icmp::{Meaning, message, usual};

use super::{u16_at, u32_at};

/// What an ICMP or `ICMPv6` message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Icmp {
    /// Whether it is `ICMPv6`, whose numbers differ.
    pub ipv6: bool,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// The word after the checksum: the MTU of a packet-too-big.
    pub value: u32,
    /// For an error about a TCP segment: its source port, destination port and sequence number.
    pub about: Option<(u16, u16, u32)>,
}

impl Icmp {
    pub(super) fn parse(message: &[u8], ipv6: bool) -> Result<Self, &'static str> {
        let header: &[u8; 8] = message.first_chunk().ok_or("ICMP header is truncated")?;
        let value = u32_at(header, 4).unwrap_or_default();
        let mut icmp = Icmp { ipv6, kind: header[0], code: header[1], value, about: None };
        if icmp.is_error() {
            icmp.about = quoted(&message[8..]);
        }
        Ok(icmp)
    }

    /// Whether it is an error about another packet, which it quotes.
    #[must_use]
    pub fn is_error(&self) -> bool {
        if self.ipv6 { self.kind < 128 } else { matches!(self.kind, 3 | 4 | 5 | 11 | 12) }
    }

    /// The message in words: `host unreachable`, or the bare numbers.
    #[must_use]
    pub fn words(&self) -> String {
        match message(self.ipv6, self.kind, self.code) {
            Some(known) if known.meaning == Meaning::TooBig => {
                IcmpError::TooBig(self.mtu()).to_string()
            }
            Some(known) if usual(self.ipv6, known.meaning) == Some(known) => {
                known.meaning.to_string()
            }
            Some(known) => known.name.into(),
            None => format!("{}/{}", self.kind, self.code),
        }
    }

    fn mtu(&self) -> u32 {
        if self.ipv6 { self.value } else { self.value & 0xffff }
    }
}

/// The quoted packet is truncated, so only what RFC 792 promises is read: the IP header and 8
/// bytes.
fn quoted(packet: &[u8]) -> Option<(u16, u16, u32)> {
    let (protocol, start) = match packet.first()? >> 4 {
        4 => (packet.get(9)?, usize::from(packet[0] & 15) * 4),
        6 => (packet.get(6)?, 40),
        _ => return None,
    };
    let segment = packet.get(start..).filter(|_| *protocol == 6)?;
    Some((u16_at(segment, 0)?, u16_at(segment, 2)?, u32_at(segment, 4)?))
}

/// An error with which a router answers a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcmpError {
    /// 3/0; `ICMPv6` 1/0.
    NetworkUnreachable,
    /// 3/1; `ICMPv6` 1/3.
    HostUnreachable,
    /// 3/3; `ICMPv6` 1/4.
    PortUnreachable,
    /// 3/13; `ICMPv6` 1/1.
    Prohibited,
    /// 3/4; `ICMPv6` 2/0: the MTU of the next link, in bytes.
    TooBig(u32),
    /// 11/0; `ICMPv6` 3/0.
    TimeExceeded,
    /// 4/0; `ICMPv6` has none.
    SourceQuench,
    /// Any other, by its numbers.
    Exact {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
}

impl IcmpError {
    /// Type and code, if the family has such an error.
    #[must_use]
    pub fn numbers(self, ipv6: bool) -> Option<(u8, u8)> {
        match self {
            IcmpError::Exact { kind, code } => Some((kind, code)),
            named => usual(ipv6, named.meaning()?).map(|row| (row.kind, row.code)),
        }
    }

    fn meaning(self) -> Option<Meaning> {
        Some(match self {
            IcmpError::NetworkUnreachable => Meaning::NetworkUnreachable,
            IcmpError::HostUnreachable => Meaning::HostUnreachable,
            IcmpError::PortUnreachable => Meaning::PortUnreachable,
            IcmpError::Prohibited => Meaning::Prohibited,
            IcmpError::TooBig(_) => Meaning::TooBig,
            IcmpError::TimeExceeded => Meaning::TimeExceeded,
            IcmpError::SourceQuench => Meaning::SourceQuench,
            IcmpError::Exact { .. } => return None,
        })
    }

    /// The word after the checksum.
    pub(super) fn value(self) -> u32 {
        if let IcmpError::TooBig(mtu) = self { mtu } else { 0 }
    }
}

impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            IcmpError::Exact { kind, code } => write!(f, "{kind}/{code}"),
            IcmpError::TooBig(mtu) => write!(f, "{}, mtu {mtu}", Meaning::TooBig),
            named => named.meaning().map_or(Ok(()), |meaning| meaning.fmt(f)),
        }
    }
}
