//! From what was seen to what it means and what to try: a pure table over the error and its evidence.
//!
//! [`CASES`] is read from top to bottom, and the first row that fits decides. A row that names one cause out of several
//! that the evidence admits is a guess and says so; what no row knows is a guess too.

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
use crate::{Ending, Error, Evidence, ResolveError};

/// What told that something is wrong.
#[derive(Debug, Clone)]
pub enum Symptom {
    /// A call failed.
    Error(Error),
    /// The peer's FIN, read before the conversation was over.
    EndOfFile,
    /// No byte moved for so long although the peer owed some.
    Silence(Duration),
    /// The name gave no address.
    Unresolved(ResolveError),
    /// Something else came back than was sent; in words, and how many bytes had come back right before.
    Different {
        /// What differs.
        words: String,
        /// Bytes that had come back right.
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
    /// Its name, finer than the ending's; in JSON it is `case`.
    pub word: &'static str,
    /// The ending that it is.
    pub ending: Ending,
    /// Whether it is known; else it is the likeliest of several, and called so.
    pub certain: bool,
    /// Whether the row fits.
    pub(crate) fits: fn(&Facts<'_>) -> bool,
    /// What it means, as a sentence without its full stop; in braces what the evidence fills in.
    pub cause: &'static str,
    /// What to try, the same way; empty where there is nothing.
    pub advice: &'static str,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The row that fitted.
    pub case: &'static str,
    /// How it ended.
    pub ending: Ending,
    /// What was seen: the call, its errno, and the evidence that decided.
    pub seen: String,
    /// What it means. Where that is a guess it begins with "probably".
    pub cause: String,
    /// What to try; may be empty.
    pub advice: String,
    /// Whether the cause is known, and not the likeliest of several.
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
    /// What `symptom` means in the light of `evidence`. Pure: it looks at nothing else.
    #[must_use]
    pub fn of(symptom: &Symptom, evidence: &Evidence) -> Self {
        let facts = Facts { symptom, evidence };
        let seen = seen::seen(&facts);
        let Some(case) = CASES.iter().find(|case| (case.fits)(&facts)) else {
            // An errno alone shows what usually lies behind it, and no more.
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
}

impl Symptom {
    /// What the failed call said, if a call failed.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Symptom::Error(error) => Some(error.source),
            _ => None,
        }
    }
}
