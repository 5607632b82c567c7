//! The ICMP and `ICMPv6` errors: their numbers, names and meanings (RFC 792, 1122, 1812, 4443).

use std::fmt;

/// What an ICMP error says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// There is no route to the network.
    NetworkUnreachable,
    /// The host cannot be reached.
    HostUnreachable,
    /// The host does not have the protocol.
    ProtocolUnreachable,
    /// The host does not have the port, or a firewall says so.
    PortUnreachable,
    /// A rule forbids it.
    Prohibited,
    /// The packet is larger than the MTU of the next link.
    TooBig,
    /// The TTL or hop limit was used up.
    TimeExceeded,
    /// The packet is not well-formed.
    ParameterProblem,
    /// A router has no room for packets. Deprecated (RFC 6633).
    SourceQuench,
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Meaning::NetworkUnreachable => "network unreachable",
            Meaning::HostUnreachable => "host unreachable",
            Meaning::ProtocolUnreachable => "protocol unreachable",
            Meaning::PortUnreachable => "port unreachable",
            Meaning::Prohibited => "administratively prohibited",
            Meaning::TooBig => "packet too big",
            Meaning::TimeExceeded => "time exceeded",
            Meaning::ParameterProblem => "parameter problem",
            Meaning::SourceQuench => "source quench",
        })
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The name in the RFC.
    pub name: &'static str,
    /// What it says.
    pub meaning: Meaning,
}

const fn row(kind: u8, code: u8, meaning: Meaning, name: &'static str) -> Message {
    Message { kind, code, name, meaning }
}

/// The errors of ICMP. The first of those with the same meaning is the usual one.
pub static V4: &[Message] = &[
    row(3, 0, Meaning::NetworkUnreachable, "network unreachable"),
    row(3, 1, Meaning::HostUnreachable, "host unreachable"),
    row(3, 2, Meaning::ProtocolUnreachable, "protocol unreachable"),
    row(3, 3, Meaning::PortUnreachable, "port unreachable"),
    row(3, 4, Meaning::TooBig, "fragmentation needed"),
    row(3, 13, Meaning::Prohibited, "communication administratively prohibited"),
    row(3, 5, Meaning::HostUnreachable, "source route failed"),
    row(3, 6, Meaning::NetworkUnreachable, "network unknown"),
    row(3, 7, Meaning::HostUnreachable, "host unknown"),
    row(3, 8, Meaning::HostUnreachable, "source host isolated"),
    row(3, 9, Meaning::Prohibited, "network administratively prohibited"),
    row(3, 10, Meaning::Prohibited, "host administratively prohibited"),
    row(3, 11, Meaning::NetworkUnreachable, "network unreachable for this service"),
    row(3, 12, Meaning::HostUnreachable, "host unreachable for this service"),
    row(3, 14, Meaning::Prohibited, "host precedence violation"),
    row(3, 15, Meaning::Prohibited, "precedence cutoff"),
    row(4, 0, Meaning::SourceQuench, "source quench"),
    row(11, 0, Meaning::TimeExceeded, "time exceeded in transit"),
    row(11, 1, Meaning::TimeExceeded, "fragment reassembly time exceeded"),
    row(12, 0, Meaning::ParameterProblem, "parameter problem"),
];

/// The errors of `ICMPv6`, in the same order.
pub static V6: &[Message] = &[
    row(1, 0, Meaning::NetworkUnreachable, "no route to destination"),
    row(1, 3, Meaning::HostUnreachable, "address unreachable"),
    row(1, 4, Meaning::PortUnreachable, "port unreachable"),
    row(1, 1, Meaning::Prohibited, "administratively prohibited"),
    row(1, 2, Meaning::HostUnreachable, "beyond scope of source address"),
    row(1, 5, Meaning::Prohibited, "source address failed policy"),
    row(1, 6, Meaning::Prohibited, "reject route"),
    row(2, 0, Meaning::TooBig, "packet too big"),
    row(3, 0, Meaning::TimeExceeded, "time exceeded in transit"),
    row(3, 1, Meaning::TimeExceeded, "fragment reassembly time exceeded"),
    row(4, 0, Meaning::ParameterProblem, "erroneous header field"),
    row(4, 1, Meaning::ParameterProblem, "unrecognized next header"),
];

fn table(ipv6: bool) -> &'static [Message] {
    if ipv6 { V6 } else { V4 }
}

/// Returns the row of an error, if it has one.
#[must_use]
pub fn message(ipv6: bool, kind: u8, code: u8) -> Option<&'static Message> {
    table(ipv6).iter().find(|row| (row.kind, row.code) == (kind, code))
}

/// Returns the usual error with this meaning, if the family has one.
#[must_use]
pub fn usual(ipv6: bool, meaning: Meaning) -> Option<&'static Message> {
    table(ipv6).iter().find(|row| row.meaning == meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_has_two_rows() {
        for ipv6 in [false, true] {
            for row in table(ipv6) {
                assert_eq!(message(ipv6, row.kind, row.code), Some(row));
            }
        }
    }

    #[test]
    fn the_usual_errors_are_those_that_routers_send() {
        for (meaning, v4, v6) in [
            (Meaning::NetworkUnreachable, (3, 0), Some((1, 0))),
            (Meaning::HostUnreachable, (3, 1), Some((1, 3))),
            (Meaning::ProtocolUnreachable, (3, 2), None),
            (Meaning::PortUnreachable, (3, 3), Some((1, 4))),
            (Meaning::Prohibited, (3, 13), Some((1, 1))),
            (Meaning::TooBig, (3, 4), Some((2, 0))),
            (Meaning::TimeExceeded, (11, 0), Some((3, 0))),
            (Meaning::ParameterProblem, (12, 0), Some((4, 0))),
            (Meaning::SourceQuench, (4, 0), None),
        ] {
            let numbers = |ipv6| usual(ipv6, meaning).map(|row| (row.kind, row.code));
            assert_eq!((numbers(false), numbers(true)), (Some(v4), v6), "{meaning}");
        }
    }
}
