//! The behaviour of a program under test: its faults, and what was observed of it.

use std::fmt;
use std::time::Duration;

use tcpecho_os::process::Exit;

use crate::side::Side;

/// A fault of a program under test, the most serious last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It noticed an event only after more input; poll(2) would have reported it before.
    Late,
    /// It left zombies.
    Zombies,
    /// It kept descriptors of connections that have ended.
    Leaked,
    /// It kept sockets in `CLOSE_WAIT`: it has read the peer's FIN and does not close.
    CloseWait,
    /// Its memory grew with what its peer did.
    Grew,
    /// It kept a processor busy while it could do nothing.
    Spins,
    /// It could not be restarted at once on its port.
    InUse,
    /// It serves several clients at a time, and one client kept it from serving the others.
    Stalls,
    /// It gave up although nothing was wrong.
    Quit,
    /// It exited with status 0 although something was wrong.
    Silent,
    /// It did not exit, or did not answer, until the lab ended it.
    Hung,
    /// Bytes are missing.
    Lost,
    /// It wrote bytes that were not sent.
    Invented,
    /// A client did not connect, although the server listened.
    Unconnected,
    /// SIGPIPE killed it.
    Killed,
    /// A server exited, or any other signal killed the program.
    Died,
}

impl Fault {
    /// All faults, with the sentences that describe them.
    pub const ALL: [(Fault, &'static str); 16] = [
        (Fault::Late, "noticed an event, or echoed a line, only after more input"),
        (Fault::Zombies, "left zombies: did not wait for its children"),
        (Fault::Leaked, "leaked descriptors of closed connections"),
        (Fault::CloseWait, "kept sockets in CLOSE_WAIT"),
        (Fault::Grew, "its memory grew with what the peer sent or did"),
        (Fault::Spins, "used a whole processor while it had nothing to do"),
        (Fault::InUse, "could not be restarted at once on its port"),
        (Fault::Stalls, "let one client keep it from serving the others"),
        (Fault::Quit, "gave up although nothing was wrong"),
        (Fault::Silent, "exited with status 0 although something was wrong"),
        (Fault::Hung, "did not exit, or did not answer, until the lab ended it"),
        (Fault::Lost, "bytes of the echo are missing"),
        (Fault::Invented, "wrote bytes that were not sent"),
        (Fault::Unconnected, "did not connect: the server had no connection"),
        (Fault::Killed, "was killed by SIGPIPE"),
        (Fault::Died, "was killed by another signal, or is a server and exited"),
    ];

    /// The fault in one sentence without a subject.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        Fault::ALL.iter().find(|(fault, _)| *fault == self).map_or("", |(_, sentence)| sentence)
    }

    /// The fault in one sentence without a subject, as it shows in programs on this side.
    #[must_use]
    pub fn sentence_for(self, side: Side) -> &'static str {
        match (self, side) {
            (Fault::Late, Side::Client) => "noticed an event only after more input",
            (Fault::Late, Side::Server) => "did not echo a line that had arrived before more came",
            (Fault::Hung, Side::Client) => "did not send, or did not exit, until the lab ended it",
            (Fault::Hung, Side::Server) => "did not answer, or did not exit on SIGTERM",
            (Fault::Invented, Side::Server) => "echoed bytes that were not sent",
            _ => self.sentence(),
        }
    }

    /// Whether the end of a server shows like this to its clients.
    pub(crate) fn may_be_its_end(self) -> bool {
        matches!(self, Fault::Hung | Fault::Lost | Fault::Invented)
    }

    /// The fault in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Fault::Late => "late",
            Fault::Zombies => "zombies",
            Fault::Leaked => "leaked",
            Fault::CloseWait => "close-wait",
            Fault::Grew => "grew",
            Fault::Spins => "spins",
            Fault::InUse => "in-use",
            Fault::Stalls => "stalls",
            Fault::Quit => "quit",
            Fault::Silent => "silent",
            Fault::Hung => "hung",
            Fault::Unconnected => "unconnected",
            Fault::Killed => "killed",
            Fault::Died => "died",
            Fault::Lost => "lost",
            Fault::Invented => "invented",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What was observed of a program under test.
#[derive(Debug, Clone, Default)]
pub struct Conduct {
    /// How it exited; `None` if the lab had to end it.
    pub exit: Option<Exit>,
    /// Whether the lab had to end it.
    pub ended_by_lab: bool,
    /// When the decisive event happened, on the timeline.
    pub event: Option<Duration>,
    /// The time from the decisive event to its exit or its first line on stderr.
    pub noticed: Option<Duration>,
    /// The first line that it wrote to stderr after the decisive event, or at all if there was no
    /// event.
    pub said: Option<String>,
    /// The last line that it wrote to stdout.
    pub last_output: Option<String>,
    /// The last line that it wrote to stderr.
    pub last_error: Option<String>,
    /// The number of connections that a client tried to open (SYNs from different ports).
    pub connections: Option<usize>,
    /// The number of bytes that it should have written and did not.
    pub lost_bytes: u64,
    /// The number of descriptors that it has more than before.
    pub leaked_descriptors: Option<usize>,
    /// The number of children that have exited and were not waited for.
    pub zombies: Option<usize>,
    /// The number of sockets in `CLOSE_WAIT` on its port.
    pub close_wait: Option<usize>,
    /// The growth of its memory in bytes.
    pub memory_growth: Option<u64>,
    /// Observations that are not faults.
    pub notes: Vec<String>,
    /// Its faults, in the order in which they were seen.
    pub faults: Vec<Fault>,
}

impl Conduct {
    /// Returns the most serious fault.
    #[must_use]
    pub fn worst(&self) -> Option<Fault> {
        self.faults.iter().copied().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_fault_is_the_worst_in_whatever_order_they_were_seen() {
        let worst = |faults: &[Fault]| {
            let faults = faults.to_vec();
            Conduct { faults, ..Conduct::default() }.worst()
        };
        assert_eq!(worst(&[]), None);
        assert_eq!(worst(&[Fault::Late]), Some(Fault::Late));
        for faults in
            [[Fault::Late, Fault::Lost, Fault::Hung], [Fault::Lost, Fault::Hung, Fault::Late]]
        {
            assert_eq!(worst(&faults), Some(Fault::Lost));
        }
        let all = Fault::ALL.map(|(fault, _)| fault);
        assert!(all.is_sorted(), "the table has them from the least to the gravest");
        assert_eq!(worst(&all), all.last().copied());
    }
}
