//! A failed call that knows its own name and address (as Go's `net.OpError` does).

use std::{fmt, io, net::SocketAddr};

use rustix::io::Errno;

/// A system call, or a step named like one, that failed.
#[derive(Debug, Clone)]
pub struct Error {
    /// The operation, as its man page names it: `bind`, `connect`, `accept`.
    pub op: &'static str,
    /// The address it was about, where there is one.
    pub addr: Option<SocketAddr>,
    /// What the kernel said.
    pub source: Errno,
    /// What was found out about the cause, each as one sentence; empty where nothing is known.
    pub notes: Vec<String>,
}

impl Error {
    /// The operation `op` failed with `source`.
    #[must_use]
    pub fn new(op: &'static str, source: Errno) -> Self {
        Error { op, addr: None, source, notes: Vec::new() }
    }

    /// The same, about an address.
    #[must_use]
    pub fn at(op: &'static str, addr: SocketAddr, source: Errno) -> Self {
        Error { addr: Some(addr), ..Error::new(op, source) }
    }

    /// The same, with a sentence about the cause.
    #[must_use]
    pub fn note(mut self, sentence: impl Into<String>) -> Self {
        self.notes.push(sentence.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op)?;
        if let Some(addr) = self.addr {
            write!(f, " {addr}")?;
        }
        write!(f, ": {}", words(self.source))?;
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(io::Error::from(error.source).kind(), error)
    }
}

/// An errno in words with its name: `Connection refused (ECONNREFUSED)`.
#[must_use]
pub fn words(errno: Errno) -> String {
    tcpecho_os::errno::words(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_its_operation_its_address_its_errno_and_what_is_known() {
        let addr = ([192, 0, 2, 1], 7).into();
        for (error, wanted) in [
            (Error::new("poll", Errno::NOMEM), "poll: Cannot allocate memory (ENOMEM)"),
            (
                Error::at("connect", addr, Errno::CONNREFUSED),
                "connect 192.0.2.1:7: Connection refused (ECONNREFUSED)",
            ),
            (
                Error::at("bind", addr, Errno::ADDRINUSE).note("one").note("two"),
                "bind 192.0.2.1:7: Address already in use (EADDRINUSE); one; two",
            ),
        ] {
            assert_eq!(error.to_string(), wanted);
            let errno = error.source;
            let kind = io::Error::from(errno).kind();
            let error = io::Error::from(error);
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, wanted));
        }
        assert_eq!(words(Errno::PIPE), "Broken pipe (EPIPE)");
    }
}
