//! What the wire did with a packet.

use std::fmt;
use std::time::Duration;

use rustix::io::Errno;

use crate::packet::IcmpError;

/// What the wire did with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passed unchanged.
    Delivered,
    /// A rule dropped it.
    Dropped,
    /// The cable is cut.
    Cut,
    /// The destination host is off.
    HostOff,
    /// It waits in the wire until it is released.
    Held,
    /// It waited, and is released now.
    Released,
    /// It waited, and is discarded.
    Discarded,
    /// It will arrive this much later.
    Delayed(Duration),
    /// It was delayed, and arrives now.
    Arrived,
    /// It arrived, twice.
    Duplicated,
    /// It waits for the next packet of its direction and then follows it.
    Overtaken,
    /// It arrived with a wrong checksum.
    Corrupted,
    /// It arrived changed, with correct checksums.
    Rewritten,
    /// The router answered with this error instead of passing it on.
    Answered(IcmpError),
    /// The wire made it.
    Injected,
    /// The host's kernel rejected it.
    Refused(Errno),
}

impl Verdict {
    /// Whether the packet was delivered to the destination host at this moment.
    #[must_use]
    pub fn has_arrived(self) -> bool {
        use Verdict::{Arrived, Corrupted, Delivered, Duplicated, Injected, Released, Rewritten};
        matches!(
            self,
            Delivered | Released | Arrived | Duplicated | Corrupted | Rewritten | Injected
        )
    }

    /// Whether this is the packet's first moment; the second is when a waiting packet is released
    /// or discarded.
    #[must_use]
    pub fn is_first_sight(self) -> bool {
        !matches!(
            self,
            Verdict::Released | Verdict::Arrived | Verdict::Discarded | Verdict::Refused(_)
        )
    }

    /// Whether the wire did anything that a plain cable does not.
    #[must_use]
    pub fn is_touched(self) -> bool {
        self != Verdict::Delivered
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Delivered => f.write_str("delivered"),
            Verdict::Dropped => f.write_str("dropped"),
            Verdict::Cut => f.write_str("lost: cable cut"),
            Verdict::HostOff => f.write_str("lost: host is off"),
            Verdict::Held => f.write_str("held"),
            Verdict::Released => f.write_str("released"),
            Verdict::Discarded => f.write_str("discarded"),
            Verdict::Delayed(by) => write!(f, "delayed {by:?}"),
            Verdict::Arrived => f.write_str("arrived"),
            Verdict::Duplicated => f.write_str("duplicated"),
            Verdict::Overtaken => f.write_str("overtaken"),
            Verdict::Corrupted => f.write_str("corrupted"),
            Verdict::Rewritten => f.write_str("rewritten"),
            Verdict::Answered(error) => write!(f, "answered: {error}"),
            Verdict::Injected => f.write_str("injected"),
            Verdict::Refused(errno) => {
                write!(f, "refused: {}", tcpecho_os::errno::words(*errno))
            }
        }
    }
}
