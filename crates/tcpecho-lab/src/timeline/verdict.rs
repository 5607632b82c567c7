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

    /// Every word of [`Verdict::word`].
    pub const WORDS: [&'static str; 16] = [
        "delivered",
        "dropped",
        "cut",
        "host-off",
        "held",
        "released",
        "discarded",
        "delayed",
        "arrived",
        "duplicated",
        "overtaken",
        "corrupted",
        "rewritten",
        "answered",
        "injected",
        "refused",
    ];

    /// Its word for programs; what else there is to say is its [`detail`](Verdict::detail).
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Delivered => "delivered",
            Verdict::Dropped => "dropped",
            Verdict::Cut => "cut",
            Verdict::HostOff => "host-off",
            Verdict::Held => "held",
            Verdict::Released => "released",
            Verdict::Discarded => "discarded",
            Verdict::Delayed(_) => "delayed",
            Verdict::Arrived => "arrived",
            Verdict::Duplicated => "duplicated",
            Verdict::Overtaken => "overtaken",
            Verdict::Corrupted => "corrupted",
            Verdict::Rewritten => "rewritten",
            Verdict::Answered(_) => "answered",
            Verdict::Injected => "injected",
            Verdict::Refused(_) => "refused",
        }
    }

    /// By how much it was delayed, the router's answer, or the kernel's errno.
    #[must_use]
    pub fn detail(self) -> Option<String> {
        match self {
            Verdict::Delayed(by) => Some(format!("{} ms", by.as_secs_f64() * 1000.0)),
            Verdict::Answered(error) => Some(error.to_string()),
            Verdict::Refused(errno) => Some(tcpecho_os::errno::words(errno)),
            _ => None,
        }
    }

    /// Whether the wire did anything that a plain cable does not.
    #[must_use]
    pub fn is_touched(self) -> bool {
        self != Verdict::Delivered
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.detail()) {
            (Verdict::Cut, _) => f.write_str("lost: cable cut"),
            (Verdict::HostOff, _) => f.write_str("lost: host is off"),
            (Verdict::Delayed(_), Some(by)) => write!(f, "delayed {by}"),
            (_, Some(detail)) => write!(f, "{}: {detail}", self.word()),
            (_, None) => f.write_str(self.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_a_word_and_a_detail() {
        let delayed = Verdict::Delayed(Duration::from_micros(1500));
        assert_eq!((delayed.word(), delayed.to_string().as_str()), ("delayed", "delayed 1.5 ms"));
        let refused = Verdict::Refused(Errno::NOBUFS);
        assert_eq!(refused.to_string(), "refused: No buffer space available (ENOBUFS)");
        assert_eq!(Verdict::Cut.to_string(), "lost: cable cut");
        for verdict in [delayed, refused, Verdict::Cut, Verdict::HostOff, Verdict::Held] {
            assert!(Verdict::WORDS.contains(&verdict.word()));
        }
    }
}
