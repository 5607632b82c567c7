//! The two ends of the wire, and their names and addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The port that servers listen on by default; the host has no other servers.
pub const PORT: u16 = 7;

/// One of the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The host that connects.
    Client,
    /// The host that listens.
    Server,
}

/// The address family; the hosts always have an address of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Side {
    /// Both, in the order of [`Side::index`].
    pub const BOTH: [Side; 2] = [Side::Client, Side::Server];

    /// The opposite end.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    /// 0 or 1, to index a table with a row for each side.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// `client` or `server`; also the host's name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Server => "server",
        }
    }

    /// The host's address, from the ranges kept for documentation (RFC 5737, RFC 3849).
    #[must_use]
    pub fn address(self, family: Family) -> IpAddr {
        match (self, family) {
            (Side::Client, Family::V4) => Ipv4Addr::new(192, 0, 2, 10).into(),
            (Side::Server, Family::V4) => Ipv4Addr::new(198, 51, 100, 20).into(),
            (Side::Client, Family::V6) => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10).into(),
            (Side::Server, Family::V6) => Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x20).into(),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Family {
    /// Both.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The prefix length of a host's network.
    #[must_use]
    pub fn prefix(self) -> u8 {
        match self {
            Family::V4 => 24,
            Family::V6 => 64,
        }
    }

    /// The unspecified address: a server binds it for every address of this family, and it is the
    /// destination of the default route.
    #[must_use]
    pub fn any(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// The address of the router between the hosts, which the wire's ICMP errors come from.
    #[must_use]
    pub fn router(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::new(203, 0, 113, 1).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1).into(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}
