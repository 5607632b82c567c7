//! The kernel's error numbers (errno(3)) as a type of this crate's own, so that no other crate's type is part of its interface.

use std::{error, fmt, io};

/// An error number of the kernel (errno(3)).
///
/// ```
/// use tcpecho::Errno;
///
/// let errno = Errno::ECONNREFUSED;
/// assert_eq!(errno.name(), Some("ECONNREFUSED"));
/// assert_eq!(errno.to_string(), "Connection refused (ECONNREFUSED)");
/// assert_eq!(errno.kind(), std::io::ErrorKind::ConnectionRefused);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(i32);

impl Errno {
    /// Makes an `Errno` of a number.
    #[must_use]
    pub const fn from_raw(number: i32) -> Self {
        Errno(number)
    }

    /// Returns the number, as [`io::Error::raw_os_error`] does.
    #[must_use]
    pub const fn raw(self) -> i32 {
        self.0
    }

    /// Returns the name, `ECONNREFUSED`; `None` for a number that no socket call returns.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        tcpecho_os::errno::name(self.into())
    }

    /// Returns the corresponding [`io::ErrorKind`].
    #[must_use]
    pub fn kind(self) -> io::ErrorKind {
        io::Error::from_raw_os_error(self.0).kind()
    }
}

macro_rules! errnos {
    ($($name:ident = $rustix:ident,)*) => {
        /// The errors that socket calls give.
        #[allow(missing_docs, reason = "errno(3) describes them")]
        impl Errno {
            $(pub const $name: Errno = Errno(rustix::io::Errno::$rustix.raw_os_error());)*
        }
    };
}

errnos! {
    EACCES = ACCESS,
    EADDRINUSE = ADDRINUSE,
    EADDRNOTAVAIL = ADDRNOTAVAIL,
    EAFNOSUPPORT = AFNOSUPPORT,
    EAGAIN = AGAIN,
    EBADF = BADF,
    ECANCELED = CANCELED,
    ECONNABORTED = CONNABORTED,
    ECONNREFUSED = CONNREFUSED,
    ECONNRESET = CONNRESET,
    EDOM = DOM,
    EHOSTDOWN = HOSTDOWN,
    EHOSTUNREACH = HOSTUNREACH,
    EINPROGRESS = INPROGRESS,
    EINTR = INTR,
    EINVAL = INVAL,
    EIO = IO,
    EISCONN = ISCONN,
    EMFILE = MFILE,
    EMSGSIZE = MSGSIZE,
    ENETDOWN = NETDOWN,
    ENETUNREACH = NETUNREACH,
    ENFILE = NFILE,
    ENOBUFS = NOBUFS,
    ENODEV = NODEV,
    ENOENT = NOENT,
    ENOMEM = NOMEM,
    ENONET = NONET,
    ENOPROTOOPT = NOPROTOOPT,
    ENOSYS = NOSYS,
    ENOTCONN = NOTCONN,
    ENOTSOCK = NOTSOCK,
    EOPNOTSUPP = OPNOTSUPP,
    EPERM = PERM,
    EPIPE = PIPE,
    EPROTO = PROTO,
    ETIMEDOUT = TIMEDOUT,
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&tcpecho_os::errno::words((*self).into()))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl error::Error for Errno {}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        io::Error::from_raw_os_error(errno.0)
    }
}

#[doc(hidden)]
impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Errno(errno.raw_os_error())
    }
}

#[doc(hidden)]
impl From<Errno> for rustix::io::Errno {
    fn from(errno: Errno) -> Self {
        rustix::io::Errno::from_raw_os_error(errno.0)
    }
}

#[doc(hidden)]
impl PartialEq<rustix::io::Errno> for Errno {
    fn eq(&self, other: &rustix::io::Errno) -> bool {
        self.0 == other.raw_os_error()
    }
}
