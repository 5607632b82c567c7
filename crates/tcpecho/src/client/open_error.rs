//! The error of a connection to several addresses.

use std::{error, fmt, io};

use super::Attempt;
use crate::Ending;

/// The error that no address could be connected to, with every attempt.
///
/// ```
/// use std::error::Error;
/// use tcpecho::{ConnectOptions, Connection};
///
/// # let reserved = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
/// let error = Connection::open(&[reserved], &ConnectOptions::default()).unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
/// assert!(error.source().is_some());
/// for attempt in &error.attempts {
///     println!("{}: {} ({:?})", attempt.addr, attempt.ending, attempt.elapsed);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OpenError {
    /// The attempts in the order in which they failed; empty if there was no address.
    pub attempts: Vec<Attempt>,
}

impl OpenError {
    pub(super) fn of(attempts: Vec<Attempt>) -> Self {
        OpenError { attempts }
    }

    /// Returns the most informative attempt, as [`Attempt::most_informative`] does; `None` if there was no address.
    #[must_use]
    pub fn most_informative(&self) -> Option<&Attempt> {
        Attempt::most_informative(&self.attempts)
    }

    /// Returns whether [`ConnectOptions::interrupt`](crate::ConnectOptions::interrupt) ended the attempts.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.attempts.last().is_some_and(|last| last.ending == Ending::Interrupted)
    }

    /// Returns the category that the standard library puts the most informative attempt's error in.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.most_informative().map_or(io::ErrorKind::InvalidInput, |attempt| attempt.error.kind())
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.most_informative() {
            None => f.write_str("connect: no address to connect to"),
            Some(attempt) if self.attempts.len() == 1 => attempt.fmt(f),
            Some(attempt) => write!(f, "{attempt} (and {} more)", self.attempts.len() - 1),
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.most_informative().map(|attempt| &attempt.error as _)
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        io::Error::new(error.kind(), error)
    }
}
