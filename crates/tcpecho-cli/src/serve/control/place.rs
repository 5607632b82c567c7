//! Where control listens: an address with a port, or a Unix socket.

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    str::FromStr,
};

use rustix::{fs::Mode, io::Errno, process::umask};
use tcpecho::{ParseError, internal::explain_bind};
use tcpecho_os::errno::io_words;

use crate::http::{Listener, reachable};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Addr(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    /// Returns whether only this host, or only this user, can connect.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Place::Addr(addr) => addr.ip().to_canonical().is_loopback(),
            Place::Unix(_) => true,
        }
    }
}

impl FromStr for Place {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(ParseError::new("unix: needs the path of a socket after it"));
            }
            return Ok(Place::Unix(path.into()));
        }
        let loopback = |port: &str| port.parse().map(|port| (Ipv4Addr::LOCALHOST, port).into());
        let port = text.strip_prefix(':').unwrap_or(text);
        let addr =
            text.parse().or_else(|_| loopback(port.strip_prefix("localhost:").unwrap_or(port)));
        addr.map(Place::Addr).map_err(|_| {
            ParseError::new(format!(
                "{text:?} is not a place for control: expected an address with a port or the path of a Unix socket \
                 (examples: 127.0.0.1:7001, [::1]:7001, unix:/run/tcpecho.sock)"
            ))
        })
    }
}

/// A socket that listens for control. Dropping it removes a Unix socket from the file system.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: Option<Listener>,
    name: String,
    /// The socket's path, device and inode.
    file: Option<(PathBuf, u64, u64)>,
}

/// Why a place cannot be listened on, in a sentence.
pub(crate) struct Unbound(pub(crate) String);

impl Bound {
    pub(crate) fn bind(place: &Place) -> Result<Self, Unbound> {
        match place {
            Place::Addr(addr) => bind_addr(*addr),
            Place::Unix(path) => bind_path(path),
        }
    }

    /// Returns the listener, once.
    pub(super) fn listener(&mut self) -> io::Result<Vec<Listener>> {
        let listener = self.listener.take().map(|listener| vec![listener]);
        listener.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some((path, device, inode)) = &self.file
            // Another server may have taken the path since then.
            && fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (*device, *inode))
        {
            let _ = fs::remove_file(path);
        }
    }
}

fn bind_addr(addr: SocketAddr) -> Result<Bound, Unbound> {
    let unbound = |error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "; take another port, or port 0 for a free one",
            io::ErrorKind::AddrNotAvailable => "; it is not an address of this host",
            io::ErrorKind::PermissionDenied => "; take a port from 1024 on",
            _ => "",
        };
        // With the program that has the port.
        let in_use = || explain_bind(addr, Errno::ADDRINUSE, true).causes.join("; ");
        let cause = if error.kind() == io::ErrorKind::AddrInUse { in_use() } else { String::new() };
        let cause = if cause.is_empty() { cause } else { format!("; {cause}") };
        Unbound(format!("--control {addr}: bind: {}{cause}{advice}", io_words(&error)))
    };
    let listener = TcpListener::bind(addr).map_err(unbound)?;
    let name = format!("http://{}/", reachable(listener.local_addr().map_err(unbound)?));
    Ok(Bound { listener: Some(Listener::Tcp(listener)), name, file: None })
}

/// Only the user that the server runs as may connect.
fn bind_path(path: &Path) -> Result<Bound, Unbound> {
    let unbound = |why: String| Unbound(format!("--control unix:{}: {why}", path.display()));
    let bind = || {
        let before = umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        umask(before);
        bound
    };
    let listener = match bind() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path).map_err(unbound)?;
            bind()
        }
        result => result,
    };
    let listener = listener.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "; create its directory",
            io::ErrorKind::InvalidInput => "; a socket's path has at most 107 bytes",
            _ => "",
        };
        unbound(format!("bind: {}{advice}", io_words(&error)))
    })?;
    let file = fs::symlink_metadata(path).ok();
    let file = file.map(|file| (path.to_owned(), file.dev(), file.ino()));
    let name = format!("unix:{}", path.display());
    Ok(Bound { listener: Some(Listener::Unix(listener)), name, file })
}

/// Removes the socket of a server that was killed: nobody listens on it any more.
fn remove_stale(path: &Path) -> Result<(), String> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Err("there is a file that is not a socket; remove it, or take another path".into());
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            Err("another program listens on it; end that program, or take another path".into())
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|error| {
                format!("the socket of an earlier server stays: {}", io_words(&error))
            }),
        Err(error) => Err(format!("connect: {}; take another path", io_words(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let addr = |text: &str| Ok(Place::Addr(text.parse().unwrap()));
        for (text, place) in [
            ("127.0.0.1:7001", addr("127.0.0.1:7001")),
            ("[::1]:0", addr("[::1]:0")),
            ("7001", addr("127.0.0.1:7001")),
            (":7001", addr("127.0.0.1:7001")),
            ("localhost:7001", addr("127.0.0.1:7001")),
            ("unix:/a b", Ok(Place::Unix("/a b".into()))),
            ("unix:@x", Ok(Place::Unix("@x".into()))),
        ] {
            assert_eq!(text.parse(), place, "{text}");
        }
        for text in ["", "unix:", "127.0.0.1", "example.net:80", "99999", "/run/x", "::1:7"] {
            assert!(text == "::1:7" || text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_loopback_and_unix_sockets_are_local() {
        for (text, local) in [
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("unix:/x", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().is_local(), local, "{text}");
        }
    }
}
