//! The control bits of a TCP segment (RFC 9293 3.1).

use std::fmt;
use std::ops::BitOr;

/// Control bits of a TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender has no more data.
    pub const FIN: Flags = Flags(1);
    /// Opens a connection.
    pub const SYN: Flags = Flags(2);
    /// Resets the connection.
    pub const RST: Flags = Flags(4);
    /// Push: the receiver should deliver the data.
    pub const PSH: Flags = Flags(8);
    /// The acknowledgment number is valid.
    pub const ACK: Flags = Flags(16);
    /// The urgent pointer is valid.
    pub const URG: Flags = Flags(32);
    /// Congestion was experienced.
    pub const ECE: Flags = Flags(64);
    /// The congestion window was reduced.
    pub const CWR: Flags = Flags(128);

    const NAMES: [(Flags, &'static str); 8] = [
        (Flags::FIN, "FIN"),
        (Flags::SYN, "SYN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::URG, "URG"),
        (Flags::ECE, "ECE"),
        (Flags::CWR, "CWR"),
        (Flags::ACK, "ACK"),
    ];

    /// Whether all of `others` are set.
    #[must_use]
    pub fn has(self, others: Flags) -> bool {
        self.0 & others.0 == others.0
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| *name);
        let text = names.collect::<Vec<_>>().join("-");
        f.pad(if text.is_empty() { "no flags" } else { &text })
    }
}
