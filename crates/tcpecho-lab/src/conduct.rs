//! How a program behaved: what can be wrong with it, in one word, and what was seen of it.

use std::fmt;
use std::time::Duration;

use tcpecho_os::process::Exit;

/// What is wrong with a program that was put through a boundary condition, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It noticed what it could have known only when it was given more to do.
    Late,
    /// It has zombies that nobody waits for.
    Zombies,
    /// It holds descriptors of connections that are over.
    Leaked,
    /// It holds sockets in `CLOSE_WAIT`: it has read the peer's end and does not close.
    CloseWait,
    /// Its memory grows with what a peer does.
    Grew,
    /// It keeps a processor busy while it can do nothing.
    Spins,
    /// It cannot be started again at once on its port.
    InUse,
    /// It gave up though nothing was wrong.
    Quit,
    /// It ended with status 0 although something was wrong.
    Silent,
    /// It did not end, or did not answer, and would be waiting still.
    Hung,
    /// Bytes are missing.
    Lost,
    /// Bytes came out that were not sent.
    Invented,
    /// SIGPIPE killed it.
    Killed,
    /// A server that ended, or a program killed by any other signal.
    Died,
}

impl Fault {
    /// All of them, with their sentence.
    pub const ALL: [(Fault, &'static str); 14] = [
        (Fault::Late, "noticed only when given more to do what it could have known before"),
        (Fault::Zombies, "left children that nobody waits for"),
        (Fault::Leaked, "kept descriptors of connections that are over"),
        (Fault::CloseWait, "kept sockets in CLOSE_WAIT"),
        (Fault::Grew, "its memory grew with what its peer did"),
        (Fault::Spins, "kept a processor busy while there was nothing to do"),
        (Fault::InUse, "could not be started again at once"),
        (Fault::Quit, "gave up though nothing was wrong"),
        (Fault::Silent, "ended with status 0 although something was wrong"),
        (Fault::Hung, "did not end, or did not answer, until the lab ended it"),
        (Fault::Lost, "bytes are missing in what came back"),
        (Fault::Invented, "bytes came out that had not been sent"),
        (Fault::Killed, "was killed by SIGPIPE"),
        (Fault::Died, "was killed by a signal, or is a server that ended"),
    ];

    /// The word.
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
            Fault::Quit => "quit",
            Fault::Silent => "silent",
            Fault::Hung => "hung",
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

/// What was seen of a program.
#[derive(Debug, Clone, Default)]
pub struct Conduct {
    /// How it ended; `None` if it did not before the lab ended it.
    pub exit: Option<Exit>,
    /// It would be running still.
    pub ended_by_lab: bool,
    /// When the decisive thing happened, on the timeline.
    pub event: Option<Duration>,
    /// How long after that it ended or wrote to standard error.
    pub noticed: Option<Duration>,
    /// The first line that it wrote to standard error after the decisive event, or at all if there was none.
    pub said: Option<String>,
    /// The last line of its standard output.
    pub last_output: Option<String>,
    /// The last line of its standard error.
    pub last_error: Option<String>,
    /// How many connections it asked for (SYNs from different ports); of a client only.
    pub connections: Option<usize>,
    /// Bytes that should have come out of it and did not.
    pub lost_bytes: u64,
    /// Descriptors that it has and had not before.
    pub leaked_descriptors: Option<usize>,
    /// Children that have ended and were not waited for.
    pub zombies: Option<usize>,
    /// Sockets in `CLOSE_WAIT` on its port.
    pub close_wait: Option<usize>,
    /// By how much its memory grew, in bytes.
    pub memory_growth: Option<u64>,
    /// What else is worth knowing, and no fault.
    pub notes: Vec<String>,
    /// What was wrong with it, in the order in which it was seen.
    pub faults: Vec<Fault>,
}

impl Conduct {
    /// The gravest fault.
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
