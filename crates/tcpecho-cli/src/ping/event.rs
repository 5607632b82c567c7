//! What happens to a target, told to whoever writes it down.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tcpecho::{Attempt, Diagnosis, Ending};

/// One thing that happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection came about; `again` if there had been one before.
    Connected(Connected),
    /// No address could be connected to.
    Unconnected { failures: Vec<Attempt>, again: bool },
    /// A probe came back whole.
    Answer(Answer),
    /// One came back once more.
    Doubled { seq: u64 },
    /// One came back with a byte changed or missing, the first of them at this offset.
    Corrupted { seq: u64, at: usize },
    /// Bytes came that belong to no probe.
    Foreign { bytes: usize },
    /// RST answered the SYN of a probe.
    Refused { seq: u64, time: Duration },
    /// One has not come back.
    Lost { seq: u64, why: Loss },
    /// The connection ended.
    Broken(Broken),
    /// The name, looked up again, gave no address; those found before are used.
    Unresolved(Box<Diagnosis>),
    /// Nothing has been answered until the end, and why.
    Unanswered(Box<Cause>),
    /// Probes were lost around a broken connection or a failed attempt. It ended with an answer at `end`; without one it
    /// lasted until the end of the run.
    Outage { first: u64, lost: u64, span: Duration, end: Option<Instant> },
}

/// Why nothing is answered: the call that showed it, and what it means.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) op: &'static str,
    pub(super) addr: Option<SocketAddr>,
    pub(super) errno: Option<Errno>,
    pub(super) diagnosis: Diagnosis,
}

#[derive(Debug)]
pub(super) struct Connected {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) took: Duration,
    /// How often the SYN was sent again.
    pub(super) retransmits: u32,
    pub(super) again: bool,
    /// Addresses tried before.
    pub(super) failures: Vec<Attempt>,
    /// Why the kernel's stamps are not to be had, if they were wanted.
    pub(super) no_stamps: Option<Errno>,
    /// The kernel's stamps are on.
    pub(super) stamps: bool,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) seq: u64,
    pub(super) bytes: usize,
    pub(super) peer: SocketAddr,
    /// It came after the reply timeout.
    pub(super) late: bool,
    /// From when it was due, by our clock.
    pub(super) time: Duration,
    /// From when its first byte was sent to when its last came back.
    pub(super) rtt: Duration,
    /// `rtt` is from its first packet's leaving to its last one's coming in, by the kernel's stamps.
    pub(super) by_kernel: bool,
    /// From its first packet's leaving to the acknowledgement of its last byte by the peer's kernel.
    pub(super) ack: Option<Duration>,
    /// The handshake, where the probe had one of its own.
    pub(super) connect: Option<Duration>,
    /// What the kernel knows of the connection.
    pub(super) kernel: Option<Kernel>,
    /// How long this program did not run while it was under way: its times tell nothing of the server.
    pub(super) paused: Duration,
}

/// TCP_INFO at the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    pub(super) srtt: Duration,
    /// None before its first sample, and where the kernel does not tell.
    pub(super) min_rtt: Option<Duration>,
    /// Segments sent again since the last time somebody looked.
    pub(super) retransmits: u32,
}

/// Why a probe is lost.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// No answer for so long. Whether the peer's kernel has acknowledged it, where that is known, and how often something was sent again.
    Silence { waited: Duration, acknowledged: Option<bool>, retransmits: u32 },
    /// The connection ended so, or could not be made.
    Ended(Ending),
    /// It was due between two attempts to connect: none was made for it.
    NoConnection,
    /// It could not be sent for so long: what is ahead of it does not get through.
    Unsent { waited: Duration },
}

#[derive(Debug)]
pub(super) struct Broken {
    pub(super) peer: SocketAddr,
    /// What that means, in the light of what was known.
    pub(super) diagnosis: Box<Diagnosis>,
    pub(super) op: &'static str,
    /// None for end of file.
    pub(super) errno: Option<Errno>,
    /// How long it had lasted.
    pub(super) lasted: Duration,
}

impl Broken {
    pub(super) fn ending(&self) -> Ending {
        self.diagnosis.ending
    }

    /// What the call said.
    pub(super) fn said(&self) -> String {
        self.errno.map_or("end of file".into(), tcpecho_os::errno::words)
    }

    /// What was seen, in few words.
    pub(super) fn seen(&self) -> String {
        let Broken { peer, op, lasted, .. } = self;
        format!("{op} {peer}: {} after {}", self.said(), tcpecho::internal::show_duration(*lasted))
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
        assert_eq!(seen(None), "recv 192.0.2.1:7: end of file after 1.5s");
        assert_eq!(
            seen(Some(Errno::CONNRESET)),
            "recv 192.0.2.1:7: Connection reset by peer (ECONNRESET) after 1.5s"
        );
    }
}
