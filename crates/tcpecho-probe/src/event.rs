//! What happens to a target.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tcpecho::{Attempt, Diagnosis, Ending};

/// Something that happened to a target. Probes are numbered from 1.
#[derive(Debug)]
pub enum Event {
    /// A connection was established.
    Connected(Connected),
    /// No address could be connected to.
    Unconnected {
        /// The attempts, one for each address.
        failures: Vec<Attempt>,
        /// The attempt before failed in the same way.
        again: bool,
    },
    /// A probe came back whole.
    Answer(Answer),
    /// A probe came back once more.
    Doubled {
        /// The number of the probe.
        seq: u64,
    },
    /// A probe came back with a byte changed or missing.
    Corrupted {
        /// The number of the probe.
        seq: u64,
        /// The offset of the first such byte.
        at: usize,
    },
    /// Bytes came that belong to no probe.
    Foreign {
        /// How many.
        bytes: usize,
    },
    /// RST answered the SYN of a probe ([`Mode::Connect`](crate::Mode::Connect)).
    Refused {
        /// The number of the probe.
        seq: u64,
        /// From when it was due to the RST.
        time: Duration,
    },
    /// A probe did not come back.
    Lost {
        /// The number of the probe.
        seq: u64,
        /// Why.
        why: Loss,
    },
    /// A connection ended.
    Broken(Broken),
    /// The name was resolved again and had no address. The known addresses stay in use.
    Unresolved(Box<Diagnosis>),
    /// The run ended and no probe was answered.
    Unanswered(Box<Cause>),
    /// Probes were lost around a broken connection or a failed attempt to connect.
    Outage {
        /// The number of the first probe that was lost.
        first: u64,
        /// How many probes were lost.
        lost: u64,
        /// How long it lasted, from when the first lost probe was due.
        span: Duration,
        /// When an answer ended it; `None` if it lasted until the end of the run.
        end: Option<Instant>,
    },
}

/// Why this process did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// A timer was late, or the clocks show that the machine was suspended.
    Noticed(tcpecho_os::pause::Pause),
    /// The caller suspended the process.
    Suspended(Duration),
    /// Others stopped the process, for at most this time.
    Stopped(Duration),
}

impl Pause {
    /// Returns how long it was; for [`Pause::Stopped`], at most.
    #[must_use]
    pub fn length(&self) -> Duration {
        match self {
            Pause::Noticed(pause) => pause.length(),
            Pause::Suspended(span) | Pause::Stopped(span) => *span,
        }
    }
}

/// Why no probe is answered.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The call that showed it.
    pub op: &'static str,
    /// The address that the call was about.
    pub addr: Option<SocketAddr>,
    /// The error of the call; `None` if it reported none.
    pub errno: Option<Errno>,
    /// What it means.
    pub diagnosis: Diagnosis,
}

/// A connection that was established.
#[derive(Debug)]
pub struct Connected {
    /// The address of the peer.
    pub peer: SocketAddr,
    /// The local address.
    pub local: SocketAddr,
    /// How long the handshake took.
    pub took: Duration,
    /// How often the SYN was retransmitted.
    pub retransmits: u32,
    /// There was a connection to this target before.
    pub again: bool,
    /// Attempts at other addresses that failed.
    pub failures: Vec<Attempt>,
    /// Why the kernel's timestamps are not on, if they were wanted.
    pub no_stamps: Option<Errno>,
    /// The kernel's timestamps are on.
    pub stamps: bool,
}

/// A probe that came back whole.
#[derive(Debug)]
pub struct Answer {
    /// The number of the probe.
    pub seq: u64,
    /// Its size; 0 if the handshake was the probe.
    pub bytes: usize,
    /// The address of the peer.
    pub peer: SocketAddr,
    /// It came after the timeout.
    pub late: bool,
    /// From when it was due to when it was read.
    pub time: Duration,
    /// From when its first byte was sent to when its last came back.
    pub rtt: Duration,
    /// `rtt` is measured by the kernel's timestamps: from when its first packet left to when its last arrived.
    pub by_kernel: bool,
    /// From when its first packet left to when the peer's kernel acknowledged its last byte.
    pub ack: Option<Duration>,
    /// The time of the handshake, if the probe had a connection of its own.
    pub connect: Option<Duration>,
    /// What the kernel knows of the connection.
    pub kernel: Option<Kernel>,
    /// How long this process did not run while the probe was under way. If that is not zero, its times say nothing about the
    /// server.
    pub paused: Duration,
}

/// Values from TCP_INFO (tcp(7)).
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// The smoothed round-trip time.
    pub srtt: Duration,
    /// The smallest round-trip time; `None` before the first sample, and from kernels that do not report it.
    pub min_rtt: Option<Duration>,
    /// Segments retransmitted since the values were last read.
    pub retransmits: u32,
}

/// Why a probe is lost.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// It was sent and not answered, or not completely.
    Silence {
        /// For how long.
        waited: Duration,
        /// How many bytes of the answer came.
        returned: usize,
        /// Whether the peer's kernel acknowledged it, where that is known.
        acknowledged: Option<bool>,
        /// Segments retransmitted since the kernel was last asked.
        retransmits: u32,
    },
    /// The connection ended, or could not be made.
    Ended(Ending),
    /// It was due between two attempts to connect.
    NoConnection,
    /// It could not be sent, because bytes ahead of it were not taken by the peer.
    Unsent {
        /// For how long.
        waited: Duration,
    },
}

/// A connection that ended.
#[derive(Debug)]
pub struct Broken {
    /// The address of the peer.
    pub peer: SocketAddr,
    /// What it means.
    pub diagnosis: Box<Diagnosis>,
    /// The call that showed it.
    pub op: &'static str,
    /// The error of the call; `None` for end of file.
    pub errno: Option<Errno>,
    /// How long the connection had lasted.
    pub lasted: Duration,
}

impl Broken {
    /// Returns how it ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.diagnosis.ending
    }

    /// Returns what the call reported, in words.
    #[must_use]
    pub fn said(&self) -> String {
        self.errno.map_or("end of file".into(), tcpecho_os::errno::words)
    }

    /// Returns the call, the address, what the call reported, and after which time.
    #[must_use]
    pub fn seen(&self) -> String {
        let Broken { peer, op, lasted, .. } = self;
        format!("{op} {peer}: {} after {}", self.said(), tcpecho::internal::show_elapsed(*lasted))
    }
}

#[cfg(test)]
mod tests {
    use tcpecho::{Evidence, Symptom};

    use super::*;

    #[test]
    fn a_break_is_told_by_its_call_its_errno_and_its_age() {
        let seen = |errno| {
            let broken = Broken {
                peer: ([192, 0, 2, 1], 7).into(),
                diagnosis: Box::new(Diagnosis::of(&Symptom::EndOfFile, &Evidence::default())),
                op: "recv",
                errno,
                lasted: Duration::from_millis(1500),
            };
            broken.seen()
        };
        assert_eq!(seen(None), "recv 192.0.2.1:7: end of file after 1.50 s");
        assert_eq!(
            seen(Some(Errno::CONNRESET)),
            "recv 192.0.2.1:7: Connection reset by peer (ECONNRESET) after 1.50 s"
        );
    }
}
