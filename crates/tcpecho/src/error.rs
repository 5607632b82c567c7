//! An error with the name and the address of the failed call (as Go's `net.OpError`).

use std::{error, fmt, io, net::SocketAddr};

use crate::Errno;

/// A system call, or a step named after one, that failed.
///
/// ```
/// let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let error = tcpecho::Server::builder().listen(taken.local_addr()?).start().unwrap_err();
/// assert_eq!((error.op, error.kind()), ("bind", std::io::ErrorKind::AddrInUse));
/// println!("{error}"); // names the address, and the process that holds the port
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Error {
    /// The operation, as its man page names it: `bind`, `connect`, `accept`.
    pub op: &'static str,
    /// The address of the call, if it had one.
    pub addr: Option<SocketAddr>,
    /// The error number that the kernel returned.
    pub source: Errno,
    /// Sentences about the cause; empty if nothing is known.
    pub notes: Vec<String>,
    /// What to do about it, a sentence for each possibility; empty if nothing is known.
    pub advice: Vec<String>,
}

impl Error {
    /// Makes the error that the operation `op` failed with `source`.
    #[must_use]
    pub fn new(op: &'static str, source: impl Into<Errno>) -> Self {
        Error { op, addr: None, source: source.into(), notes: Vec::new(), advice: Vec::new() }
    }

    /// Makes the error that the operation `op` on `addr` failed with `source`.
    #[must_use]
    pub fn at(op: &'static str, addr: SocketAddr, source: impl Into<Errno>) -> Self {
        Error { addr: Some(addr), ..Error::new(op, source) }
    }

    /// Adds a sentence about the cause.
    #[must_use]
    pub fn note(mut self, sentence: impl Into<String>) -> Self {
        self.notes.push(sentence.into());
        self
    }

    /// Adds a sentence about what to do.
    #[must_use]
    pub fn advise(mut self, sentence: impl Into<String>) -> Self {
        self.advice.push(sentence.into());
        self
    }

    /// Returns the [`io::ErrorKind`] of the error number.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op)?;
        if let Some(addr) = self.addr {
            write!(f, " {addr}")?;
        }
        write!(f, ": {}", self.source)?;
        for note in self.notes.iter().chain(&self.advice) {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_its_operation_its_address_its_errno_and_what_is_known() {
        let addr = ([192, 0, 2, 1], 7).into();
        for (error, wanted) in [
            (Error::new("poll", Errno::ENOMEM), "poll: Cannot allocate memory (ENOMEM)"),
            (
                Error::at("connect", addr, Errno::ECONNREFUSED),
                "connect 192.0.2.1:7: Connection refused (ECONNREFUSED)",
            ),
            (
                Error::at("bind", addr, Errno::EADDRINUSE).advise("two").note("one"),
                "bind 192.0.2.1:7: Address already in use (EADDRINUSE); one; two",
            ),
        ] {
            assert_eq!(error.to_string(), wanted);
            let errno = error.source;
            let kind = io::Error::from(errno).kind();
            let error = io::Error::from(error);
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, wanted));
        }
        assert_eq!(Errno::EPIPE.to_string(), "Broken pipe (EPIPE)");
    }
}
