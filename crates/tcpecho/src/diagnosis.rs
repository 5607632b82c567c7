//! What a failure means and what to try: a pure function of the error and its evidence.
//!
//! [`CASES`] is tried from top to bottom, and the first row that fits decides. If several causes are possible, the row
//! is a guess and says so. If no row fits, the usual cause of the errno is the guess.

mod cases;
mod facts;
mod icmp;
mod seen;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use crate::Errno;

pub use self::cases::CASES;
use self::facts::Facts;
use crate::{Ending, Error, Evidence, Phase, ResolveError};

/// The symptom of a failure.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Symptom {
    /// A call failed.
    Error(Error),
    /// The peer's FIN, read before the exchange was complete.
    EndOfFile,
    /// No byte was sent or received for this time, although an answer was expected.
    Silence(Duration),
    /// The name has no address.
    Unresolved(ResolveError),
    /// The answer differs from what was sent.
    Different {
        /// The difference as a sentence.
        words: String,
        /// The number of correct bytes before the difference.
        offset: u64,
    },
}

impl From<Error> for Symptom {
    fn from(error: Error) -> Self {
        Symptom::Error(error)
    }
}

/// A row of the table.
pub struct Case {
    /// Its name, more specific than the ending.
    pub word: &'static str,
    /// The ending.
    pub ending: Ending,
    /// Whether the cause is known; otherwise it is the likeliest of several.
    pub certain: bool,
    /// Whether the row fits.
    pub(crate) fits: fn(&Facts<'_>) -> bool,
    /// The cause, as a sentence without a full stop, with placeholders in braces.
    pub cause: &'static str,
    /// What to try, in the same form; may be empty.
    pub advice: &'static str,
}

/// The cause of a failure and what to try. `Display` writes the ending, then `seen`, `means` and `try` on a line each.
///
/// ```
/// use std::net::TcpStream;
/// use tcpecho::{Diagnosis, Error, Errno, Evidence, Phase, Symptom};
///
/// # let server = tcpecho::Server::start()?;
/// // A program with its own socket: recv(2) failed with ECONNRESET.
/// let stream = TcpStream::connect(server.addr())?;
/// let symptom = Symptom::Error(Error::at("recv", server.addr(), Errno::ECONNRESET));
/// let evidence = Evidence::of_connection(&stream, Phase::Receive, server.addr());
/// let diagnosis = Diagnosis::of(&symptom, &evidence);
/// assert_eq!(diagnosis.ending, tcpecho::Ending::Reset);
/// println!("{diagnosis}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Diagnosis {
    /// The name of the case, as in docs/diagnosis.md.
    pub case: &'static str,
    /// The ending.
    pub ending: Ending,
    /// What was seen: the call, its errno, and the evidence.
    pub seen: String,
    /// The cause. A guess begins with "probably".
    pub cause: String,
    /// What to try; may be empty.
    pub advice: String,
    /// Whether the cause is known; otherwise it is the likeliest of several.
    pub certain: bool,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.word)
    }
}

impl fmt::Display for Diagnosis {
    /// Writes what was seen, what it means and what to try, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nseen: {}\nmeans: {}", self.ending, self.seen, self.cause)?;
        if !self.advice.is_empty() {
            write!(f, "\ntry: {}", self.advice)?;
        }
        Ok(())
    }
}

impl Diagnosis {
    /// Diagnoses `symptom` from `evidence`. A pure function: it makes no system call.
    #[must_use]
    pub fn of(symptom: &Symptom, evidence: &Evidence) -> Self {
        let facts = Facts { symptom, evidence };
        let seen = seen::seen(&facts);
        let Some(case) = CASES.iter().find(|case| (case.fits)(&facts)) else {
            // An errno alone shows only its usual cause.
            let ending = facts.ending();
            let cause = format!("probably {}", ending.row().sentence);
            let advice = facts.fill(ending.row().advice);
            return Diagnosis { case: ending.word(), ending, seen, cause, advice, certain: false };
        };
        let cause = facts.fill(case.cause);
        Diagnosis {
            case: case.word,
            ending: case.ending,
            seen,
            cause: if case.certain { cause } else { format!("probably {cause}") },
            advice: facts.fill(case.advice),
            certain: case.certain,
        }
    }

    /// Diagnoses a name lookup that returned no address.
    #[must_use]
    pub fn of_lookup(error: ResolveError) -> Self {
        Diagnosis::of(&Symptom::Unresolved(error), &Evidence::new(Phase::Resolve))
    }
}

impl Symptom {
    /// Returns the errno of the failed call, if a call failed.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Symptom::Error(error) => Some(error.source),
            _ => None,
        }
    }
}
