//! Where a client connects to: a host and a port, as a person writes them, and the addresses behind
//! them.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    str::FromStr,
};

use tcpecho_os::resolve::{Unresolved, addresses};

use crate::NotUnderstood;

/// The port of a server that names none: that of the book (UNP 5.2, `SERV_PORT`).
pub const DEFAULT_PORT: u16 = 9877;

/// A host, by name or by address, and a port.
///
/// Written `HOST`, `HOST:PORT`, `V6`, `[V6]` or `[V6]:PORT`; an IPv6 address may carry a `%scope`.
///
/// ```
/// let endpoint: tcpecho::Endpoint = "[::1]:7".parse()?;
/// assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 7));
/// # Ok::<(), tcpecho::NotUnderstood>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name or the address, without brackets.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

/// Which addresses of a name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// All of them.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// A name that has no address, or none of the wanted family:
/// [`Ending::ResolveFailed`](crate::Ending::ResolveFailed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveError {
    /// The name that was looked up.
    pub host: String,
    /// What the resolver said.
    pub reason: String,
    /// The same for programs.
    pub why: NoAddress,
}

/// Why a name gave no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAddress {
    /// There is no such name.
    NoName,
    /// The name has no address.
    NoAddress,
    /// The name has addresses, but none of the family that was asked for.
    OtherFamily,
    /// No name server answered, or none could be reached.
    Unanswered,
    /// The resolver failed in another way.
    Failed,
}

impl Endpoint {
    /// A host and a port given apart, as two arguments are.
    ///
    /// # Errors
    /// [`NotUnderstood`] where either is not one, or the host brings a port of its own.
    pub fn with_port(host: &str, port: &str) -> Result<Self, NotUnderstood> {
        match split(host)? {
            (host, None) => Ok(Endpoint { host, port: parse_port(port)? }),
            (_, Some(_)) => Err(NotUnderstood::new("the port is given twice")),
        }
    }

    /// All addresses of the host that `family` admits, in the resolver's order, each once. Blocks
    /// as getaddrinfo(3) does.
    ///
    /// # Errors
    /// [`ResolveError`] with the resolver's reason, or because no address is of that family.
    pub fn resolve(&self, family: Family) -> Result<Vec<SocketAddr>, ResolveError> {
        let fail = |reason: String, why| ResolveError { host: self.host.clone(), reason, why };
        let all = addresses(&self.host, self.port).map_err(|error| {
            let why = match error {
                Unresolved::NoName => NoAddress::NoName,
                Unresolved::NoAddress => NoAddress::NoAddress,
                Unresolved::Again => NoAddress::Unanswered,
                _ => NoAddress::Failed,
            };
            fail(error.words(), why)
        })?;
        let mut admitted = Vec::new();
        for addr in all.into_iter().filter(|addr| family.admits(addr)) {
            if !admitted.contains(&addr) {
                admitted.push(addr);
            }
        }
        match family {
            _ if !admitted.is_empty() => Ok(admitted),
            Family::Any => Err(fail("no address".into(), NoAddress::NoAddress)),
            Family::V4 => Err(fail("no IPv4 address".into(), NoAddress::OtherFamily)),
            Family::V6 => Err(fail("no IPv6 address".into(), NoAddress::OtherFamily)),
        }
    }
}

impl Family {
    /// Whether this address is wanted.
    #[must_use]
    pub fn admits(self, addr: &SocketAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => addr.is_ipv4(),
            Family::V6 => addr.is_ipv6(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Self, NotUnderstood> {
        let (host, port) = split(text)?;
        Ok(Endpoint { host, port: port.unwrap_or(DEFAULT_PORT) })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "getaddrinfo {}: {}", self.host.escape_debug(), self.reason)
    }
}

impl std::error::Error for ResolveError {}

/// Reads an address of this host to connect from: `ADDR`, `V4:PORT`, `[V6]` or `[V6]:PORT`. Without
/// a port the kernel chooses one, which the result says with port 0.
///
/// # Errors
/// [`NotUnderstood`] for anything else; names are not looked up.
pub fn parse_source(text: &str) -> Result<SocketAddr, NotUnderstood> {
    let (host, port) = split(text)?;
    let numeric = host.parse::<IpAddr>().is_ok() || is_v6(&host);
    let addr = (host.as_str(), port.unwrap_or(0)).to_socket_addrs();
    match addr.ok().filter(|_| numeric).and_then(|mut all| all.next()) {
        Some(addr) => Ok(addr),
        None => Err(NotUnderstood::new(format!(
            "\"{}\" is no IP address of this host",
            text.escape_debug()
        ))),
    }
}

/// The host without its brackets and the port if there is one.
fn split(text: &str) -> Result<(String, Option<u16>), NotUnderstood> {
    let shown = text.escape_debug();
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let Some((host, rest)) = inner.split_once(']').filter(|(host, _)| is_v6(host)) else {
            return Err(NotUnderstood::new(format!("\"{shown}\": brackets hold an IPv6 address")));
        };
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(NotUnderstood::new(format!("\"{shown}\": after ] comes :PORT"))),
        }
    } else if is_v6(text) {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err(NotUnderstood::new(format!("\"{shown}\" names no host")));
    }
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@[]".contains(c)) {
        return Err(NotUnderstood::new(format!("\"{shown}\" is no host name")));
    }
    if port.is_some_and(|port| port.contains(':')) {
        return Err(NotUnderstood::new(format!(
            "\"{shown}\" is neither HOST:PORT nor an IPv6 address; with a port that is [ADDRESS]:PORT"
        )));
    }
    Ok((host.to_owned(), port.map(parse_port).transpose()?))
}

/// An IPv6 address, also one with a `%scope`, which may be any interface's name.
fn is_v6(text: &str) -> bool {
    let (addr, scope) = text.split_once('%').unwrap_or((text, "any"));
    addr.parse::<Ipv6Addr>().is_ok() && !scope.is_empty()
}

fn parse_port(text: &str) -> Result<u16, NotUnderstood> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(NotUnderstood::new(format!(
            "\"{}\" is no port; ports are the numbers 1 to 65535",
            text.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling() {
        for (text, host, port) in [
            ("localhost", "localhost", DEFAULT_PORT),
            ("localhost:7", "localhost", 7),
            ("127.0.0.1:65535", "127.0.0.1", 65535),
            ("::1", "::1", DEFAULT_PORT),
            ("[::1]", "::1", DEFAULT_PORT),
            ("[::1]:1", "::1", 1),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4", DEFAULT_PORT),
            ("fe80::1%eth0", "fe80::1%eth0", DEFAULT_PORT),
            ("[fe80::1%eth0:1]:7", "fe80::1%eth0:1", 7),
        ] {
            assert_eq!(text.parse(), Ok(Endpoint { host: host.into(), port }), "{text}");
        }
        assert_eq!(Endpoint::with_port("::1", "7"), "[::1]:7".parse());
        assert_eq!(Endpoint::with_port("[::1]", "7"), "[::1]:7".parse());
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in [
            "", ":7", "h:", "h:0", "h:65536", "h:+7", "h:echo", "a b", "h\n", "\0", "[", "[]",
            "[h]:7", "[::1", "[::1]7", "[::1]:", "::1%", "1:2:3", "http://h", "a@b",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
        assert!(Endpoint::with_port("h:7", "8").is_err());
        assert!(Endpoint::with_port("h", "").is_err());
    }

    #[test]
    fn sources() {
        assert_eq!(parse_source("127.0.0.1"), Ok("127.0.0.1:0".parse().unwrap()));
        assert_eq!(parse_source("[::1]:7"), Ok("[::1]:7".parse().unwrap()));
        assert_eq!(parse_source("::1"), Ok("[::1]:0".parse().unwrap()));
        assert!(parse_source("localhost").is_err());
        assert!(parse_source("fe80::1%no-such-interface").is_err());
    }

    #[test]
    fn an_address_resolves_to_itself_unless_its_family_is_unwanted() {
        let endpoint: Endpoint = "[::1]:7".parse().unwrap();
        assert_eq!(endpoint.resolve(Family::V6), Ok(vec!["[::1]:7".parse().unwrap()]));
        assert_eq!(endpoint.resolve(Family::V4).unwrap_err().reason, "no IPv4 address");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), near in "[\\[\\]0-9a-f:.%@ ]{0,24}") {
            let _ = (text.parse::<Endpoint>(), near.parse::<Endpoint>());
            let _ = (Endpoint::with_port(&text, &near), Endpoint::with_port(&near, &text));
        }

        #[test]
        fn what_was_understood_is_understood_again(near in "\\[?[0-9a-f:.]{1,12}\\]?(:[0-9]{1,5})?") {
            if let Ok(endpoint) = near.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
            }
        }

        #[test]
        fn addresses_come_back(ip in any::<IpAddr>(), port in 1..=u16::MAX) {
            let addr = SocketAddr::new(ip, port);
            let endpoint: Endpoint = addr.to_string().parse().unwrap();
            prop_assert_eq!(&endpoint, &Endpoint { host: ip.to_string(), port });
            prop_assert_eq!(Endpoint::with_port(&ip.to_string(), &port.to_string()), Ok(endpoint));
        }
    }
}
