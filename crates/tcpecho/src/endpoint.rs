//! Parses a host with a port, and resolves the host's addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    str::FromStr,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with},
};
use tcpecho_os::resolve::{Unresolved, addresses, service_port};

use tcpecho_os::errno::words;

use crate::ParseError;

/// The default port, 9877 as in the book (UNP 5.2, `SERV_PORT`).
pub const DEFAULT_PORT: u16 = 9877;

/// A host, by name or by address, and a port.
///
/// Written `HOST`, `HOST:PORT`, `V6`, `[V6]` or `[V6]:PORT`; an IPv6 address may carry a `%scope`. An IPv4 address has four
/// decimal numbers: the short forms of inet_aton(3), such as `127.1` or `9877`, are refused. So is `::1:80`, which is an
/// address and looks like one with a port: it is written `[::1]:80` or `[::1:80]`.
///
/// ```
/// let endpoint: tcpecho::Endpoint = "[::1]:7".parse()?;
/// assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 7));
/// # Ok::<(), tcpecho::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name or the address, without brackets.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

/// The address family to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// IPv6 and IPv4.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// A host has no address, or none of the requested family. The ending is
/// [`Ending::ResolveFailed`](crate::Ending::ResolveFailed) for a name and
/// [`Ending::BadAddress`](crate::Ending::BadAddress) for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ResolveError {
    /// The name that was looked up, or the address.
    pub host: String,
    /// The resolver's message.
    pub reason: String,
    /// The category of the failure.
    pub why: NoAddress,
}

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum NoAddress {
    /// The name does not exist.
    NoName,
    /// The name has no address.
    NoAddress,
    /// The name has addresses, but none of the requested family.
    OtherFamily,
    /// The host is an address, and not one of the requested family.
    WrongFamily,
    /// The host is an IPv6 address with the name of an interface that does not exist.
    NoInterface,
    /// No name server answered, or none could be reached.
    Unanswered,
    /// The resolver failed in another way.
    Failed,
}

impl Endpoint {
    /// Parses a host and a port that are separate strings.
    ///
    /// # Errors
    /// [`ParseError`] if one of them is invalid, or the host contains a port.
    pub fn with_port(host: &str, port: &str) -> Result<Self, ParseError> {
        match split(host, PortPlace::OwnText)? {
            (host, None) => Ok(Endpoint { host, port: parse_port(port)? }),
            (_, Some(_)) => Err(ParseError::new("the port is given twice")),
        }
    }

    /// Returns the addresses of the host that belong to `family`, in the resolver's order, without duplicates. Blocks like
    /// getaddrinfo(3), unless the host is an address.
    ///
    /// ```
    /// use tcpecho::{Endpoint, Family};
    ///
    /// let endpoint: Endpoint = "localhost:7".parse()?;
    /// for addr in endpoint.resolve(Family::V4)? {
    ///     assert!(addr.ip().is_loopback());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ResolveError`] with the resolver's message, or because no address belongs to `family`.
    pub fn resolve(&self, family: Family) -> Result<Vec<SocketAddr>, ResolveError> {
        let fail = |reason: String, why| ResolveError { host: self.host.clone(), reason, why };
        if is_short_form(&self.host) {
            return Err(fail("not an IPv4 address".into(), NoAddress::NoName));
        }
        if let Some(address) = literal(&self.host) {
            return match address {
                Ok(addr) if family.admits(&addr) => Ok(vec![with_port(addr, self.port)]),
                Ok(_) if family == Family::V4 => {
                    Err(fail("not an IPv4 address".into(), NoAddress::WrongFamily))
                }
                Ok(_) => Err(fail("not an IPv6 address".into(), NoAddress::WrongFamily)),
                Err(Errno::NODEV) => {
                    Err(fail("there is no such interface".into(), NoAddress::NoInterface))
                }
                Err(errno) => Err(fail(words(errno), NoAddress::Failed)),
            };
        }
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
    /// Returns whether the address belongs to the family.
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
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (host, port) = split(text, PortPlace::SameText)?;
        Ok(Endpoint { host, port: port.map_or(Ok(DEFAULT_PORT), parse_port)? })
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

/// Parses an address of this host to connect from: `ADDR`, `V4:PORT`, `[V6]` or `[V6]:PORT`. Without a port the result has
/// port 0, and the kernel chooses one.
///
/// # Errors
/// [`ParseError`] for anything else; names are not looked up. A `%scope` is the name of an interface of this host, or its
/// number.
pub fn parse_source(text: &str) -> Result<SocketAddr, ParseError> {
    let (host, port) = split(text, PortPlace::SameText)?;
    let port = port.map(parse_port).transpose()?;
    parse_address(&host, text).map(|addr| with_port(addr, port.unwrap_or(0)))
}

/// A host to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenHost {
    /// An address, with port 0.
    Addr(SocketAddr),
    /// A name, to be resolved.
    Name(String),
}

/// Parses an address or a name of this host to listen on: `HOST` or `HOST:PORT`, an IPv6 address as for [`parse_source`].
/// The port is `None` if the text has none; 0 is accepted.
///
/// # Errors
/// [`ParseError`] for anything else. Names are not looked up.
pub fn parse_listen(text: &str) -> Result<(ListenHost, Option<u16>), ParseError> {
    let (host, port) = split(text, PortPlace::SameText)?;
    let port = port.map(parse_listen_port).transpose()?;
    match literal(&host) {
        None if !host.contains('%') => Ok((ListenHost::Name(host), port)),
        _ => Ok((ListenHost::Addr(parse_address(&host, text)?), port)),
    }
}

/// Parses a port to listen on: a number or the name of a TCP service. 0 lets the kernel choose.
///
/// # Errors
/// [`ParseError`] for anything else.
pub fn parse_listen_port(text: &str) -> Result<u16, ParseError> {
    if text == "0" {
        return Ok(0);
    }
    parse_port(text).map_err(|_| bad_port(text, 0))
}

fn with_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}

/// An IP address, with its scope and port 0; `text` is what it was written in.
fn parse_address(host: &str, text: &str) -> Result<SocketAddr, ParseError> {
    match literal(host) {
        Some(Ok(addr)) => Ok(addr),
        Some(Err(errno)) => {
            let scope = host.split_once('%').map_or(host, |(_, scope)| scope).escape_debug();
            Err(ParseError::new(match errno {
                Errno::NODEV => {
                    format!(
                        "\"{scope}\" is not an interface of this host (ip link has their names)"
                    )
                }
                errno => format!("interface \"{scope}\": {}", words(errno)),
            }))
        }
        None => Err(ParseError::new(format!(
            "\"{}\" is not an IP address of this host",
            text.escape_debug()
        ))),
    }
}

/// Returns whether the host is an address, which needs no resolver.
pub(crate) fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok() || is_v6(host)
}

/// The address that the host is, with its scope and port 0; `None` if it is a name. The error is that of the scope:
/// `ENODEV` if there is no such interface.
fn literal(host: &str) -> Option<Result<SocketAddr, Errno>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(Ok((ip, 0).into()));
    }
    let (ip, scope) = host.split_once('%')?;
    let ip = ip.parse().ok()?;
    Some(scope_index(scope).map(|index| SocketAddrV6::new(ip, 0, 0, index).into()))
}

/// The index of an interface by its name, or a number that is its index (RFC 4007 11.2, `if_nametoindex(3)`).
fn scope_index(scope: &str) -> Result<u32, Errno> {
    match interface_index(scope) {
        Err(Errno::NODEV) => match scope.parse() {
            Ok(index @ 1..) if scope.bytes().all(|byte| byte.is_ascii_digit()) => Ok(index),
            _ => Err(Errno::NODEV),
        },
        known => known,
    }
}

/// Returns the index of the interface with this name (`if_nametoindex(3)`).
///
/// # Errors
/// `ENODEV` if no interface has the name; those of socket(2).
pub fn interface_index(name: &str) -> Result<u32, Errno> {
    // The kernel compares 15 bytes and would take the beginning of a longer name for the whole (IFNAMSIZ).
    if name.is_empty() || name.len() > 15 || name.contains('\0') {
        return Err(Errno::NODEV);
    }
    let flags = SocketFlags::CLOEXEC;
    // Any socket can be asked, and a host may have only one family.
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    name_to_index(&socket, name)
}

/// Where a port may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortPlace {
    /// After the host, in the same text.
    SameText,
    /// In a text of its own.
    OwnText,
}

/// The host without its brackets and the port if there is one.
fn split(text: &str, place: PortPlace) -> Result<(String, Option<&str>), ParseError> {
    let shown = text.escape_debug();
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let Some((host, rest)) = inner.split_once(']').filter(|(host, _)| is_v6(host)) else {
            return Err(ParseError::new(format!(
                "invalid address \"{shown}\": brackets enclose an IPv6 address, as in [::1]:7"
            )));
        };
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => {
                return Err(ParseError::new(format!(
                    "invalid address \"{shown}\": expected :PORT after ]"
                )));
            }
        }
    } else if is_v6(text) {
        if place == PortPlace::SameText
            && let Some((host, port)) = seems_to_have_port(text)
        {
            let write = format!("write [{}]:{port} for port {port}", host.escape_debug());
            // The name of an interface has no colon.
            return Err(ParseError::new(if host.contains('%') {
                format!("invalid address \"{shown}\": {write}")
            } else {
                format!(
                    "ambiguous address \"{shown}\": {write}, or [{shown}] for this address without a port"
                )
            }));
        }
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err(ParseError::new(match port {
            Some(port) if !port.is_empty() => format!(
                "missing host in \"{shown}\": for port {} of this host, write localhost{shown}",
                port.escape_debug()
            ),
            _ => format!("missing host in \"{shown}\""),
        }));
    }
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@[]".contains(c)) {
        return Err(ParseError::new(format!("invalid host name \"{shown}\"")));
    }
    if port.is_some_and(|port| port.contains(':')) {
        return Err(ParseError::new(format!(
            "invalid address \"{shown}\": expected HOST:PORT or an IPv6 address; with a port, write [ADDRESS]:PORT"
        )));
    }
    if is_short_form(host) {
        let host = host.escape_debug();
        let hint = if port.is_none() && parse_port(text).is_ok() {
            format!("; for port {host} of this host, write localhost:{host}")
        } else {
            String::new()
        };
        return Err(ParseError::new(format!(
            "invalid host \"{host}\": an IPv4 address has four decimal numbers, as in 127.0.0.1{hint}"
        )));
    }
    Ok((host.to_owned(), port))
}

/// What getaddrinfo(3) would take for an IPv4 address although it is not written as one: inet_aton(3) also reads `9877`,
/// `127.1`, `0x7f.1` and octal numbers. The last part of a host name is never a number (RFC 3696 2).
fn is_short_form(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let (digits, radix) = match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        Some(hexadecimal) => (hexadecimal, 16),
        None => (last, 10),
    };
    // inet_aton(3) takes a bare "0x" for 0.
    let is_number = !last.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    is_number && host.parse::<Ipv4Addr>().is_err() && !host.contains(':')
}

/// The address and the port that an IPv6 address without brackets would be if its last group were a port, as in `::1:80`.
fn seems_to_have_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    // A group of hexadecimal digits is not a service.
    let is_port = !port.starts_with('0') && !is_service(port) && parse_port(port).is_ok();
    (is_port && is_v6(host)).then_some((host, port))
}

/// An IPv6 address, also one with a `%scope`, which may be any interface's name.
fn is_v6(text: &str) -> bool {
    let (addr, scope) = text.split_once('%').unwrap_or((text, "any"));
    addr.parse::<Ipv6Addr>().is_ok() && !scope.is_empty()
}

fn parse_port(text: &str) -> Result<u16, ParseError> {
    if is_service(text) {
        return service_port(text).map_err(|_| bad_port(text, 1));
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(bad_port(text, 1)),
    }
}

fn bad_port(text: &str, least: u16) -> ParseError {
    let shown = text.escape_debug();
    let expected = format!("a port is a number from {least} to 65535 or a service name");
    ParseError::new(if is_service(text) {
        format!(
            "invalid port \"{shown}\": not a TCP service of this host (getent services); {expected}"
        )
    } else {
        format!("invalid port \"{shown}\": {expected}")
    })
}

/// Returns whether a text has the form of a service name: at least one letter (RFC 6335 5.1), so that it is not a number.
fn is_service(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.+".contains(&b);
    text.len() <= 64 && text.bytes().all(allowed) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Returns whether a word is the port of the host before it: a number, or the name of a TCP service of this host.
#[must_use]
pub fn is_port(word: &str) -> bool {
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    is_number || parse_port(word).is_ok()
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
    fn invalid_endpoints_are_refused() {
        for text in [
            "",
            ":7",
            "h:",
            "h:0",
            "h:65536",
            "h:+7",
            "h:no-such-service",
            "a b",
            "h\n",
            "\0",
            "[",
            "[]",
            "[h]:7",
            "[::1",
            "[::1]7",
            "[::1]:",
            "::1%",
            "1:2:3",
            "http://h",
            "a@b",
            // inet_aton(3) reads these as 0.0.38.149, 1.2.0.3 and so on.
            "9877",
            "9877:7",
            "1.2.3",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "0x",
            "010.0.0.1",
            "127.0.0.1.",
            "1.2.3.4.5",
            "1.2.3.256",
            "host.7",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
        assert!(Endpoint::with_port("h:7", "8").is_err());
        assert!(Endpoint::with_port("h", "").is_err());
    }

    #[test]
    fn names_with_numbers_in_them_are_names() {
        for text in ["7up", "1.2.3.example", "a.0x7g", "0x7f.example.", "echo-7", "x1"] {
            assert!(text.parse::<Endpoint>().is_ok(), "{text}");
        }
        let short = Endpoint { host: "127.1".into(), port: 7 };
        assert_eq!(short.resolve(Family::Any).unwrap_err().why, NoAddress::NoName);
    }

    #[test]
    fn a_scope_is_an_interface_by_name_or_number() {
        let lo = interface_index("lo").unwrap();
        let expected = SocketAddr::from(SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, lo));
        for text in ["[fe80::1%lo]:7".to_owned(), format!("[fe80::1%{lo}]:7"), expected.to_string()]
        {
            assert_eq!(parse_source(&text), Ok(expected), "{text}");
            let at = SocketAddr::from(SocketAddrV6::new("fe80::1".parse().unwrap(), 0, 0, lo));
            assert_eq!(parse_listen(&text), Ok((ListenHost::Addr(at), Some(7))), "{text}");
        }
        // Whether there is such an interface, bind(2) says.
        let addr = parse_source("fe80::1%4000000000").unwrap();
        assert!(matches!(addr, SocketAddr::V6(v6) if v6.scope_id() == 4_000_000_000));
        for text in [
            "fe80::1%no-such",
            "fe80::1%eth0.4000",
            "fe80::1%0",
            "fe80::1%+1",
            "fe80::1%4294967296",
            "fe80::1%a-name-of-sixteen",
            "fe80::1%lo%lo",
            "127.0.0.1%lo",
        ] {
            assert!(parse_source(text).is_err() && parse_listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_to_listen() {
        let addr = |text: &str| ListenHost::Addr(text.parse().unwrap());
        let name = |text: &str| ListenHost::Name(text.to_owned());
        assert_eq!(parse_listen("127.0.0.1"), Ok((addr("127.0.0.1:0"), None)));
        assert_eq!(parse_listen("[::1]:0"), Ok((addr("[::1]:0"), Some(0))));
        assert_eq!(parse_listen("localhost:7"), Ok((name("localhost"), Some(7))));
        assert_eq!(parse_listen("localhost:0"), Ok((name("localhost"), Some(0))));
        assert_eq!(parse_listen("db.example"), Ok((name("db.example"), None)));
        for text in ["127.0.0.1:00", "127.1:7", "[localhost]:7", "a b", "h:no-such-service"] {
            assert!(parse_listen(text).is_err(), "{text}");
        }
        assert_eq!(parse_listen_port("0"), Ok(0));
        let error = parse_listen_port("65536").unwrap_err().to_string();
        assert!(error.contains("a number from 0 to 65535 or a service name"), "{error}");
    }

    #[test]
    fn services_are_ports() {
        if service_port("echo").is_err() {
            eprintln!("SKIP: echo is not in the services database here");
            return;
        }
        assert_eq!("h:echo".parse(), Ok(Endpoint { host: "h".into(), port: 7 }));
        assert_eq!(Endpoint::with_port("::1", "echo"), "[::1]:7".parse());
        assert_eq!("[::1]:echo".parse::<Endpoint>(), "[::1]:7".parse());
        assert_eq!(parse_listen_port("echo"), Ok(7));
        assert!(is_port("echo") && is_port("65536") && !is_port("no-such-service") && !is_port(""));
    }

    #[test]
    fn a_port_instead_of_a_host_has_a_hint() {
        for text in ["7012", ":7012"] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains("write localhost:7012"), "{error}");
        }
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
        let wrong = |host: &str, family| {
            let endpoint = Endpoint { host: host.into(), port: 7 };
            endpoint.resolve(family).map_err(|error| (error.why, error.reason))
        };
        let no_v4 = (NoAddress::WrongFamily, "not an IPv4 address".into());
        let no_v6 = (NoAddress::WrongFamily, "not an IPv6 address".into());
        assert_eq!(wrong("::1", Family::V4), Err(no_v4.clone()));
        assert_eq!(wrong("fe80::1%lo", Family::V4), Err(no_v4));
        assert_eq!(wrong("127.0.0.1", Family::V6), Err(no_v6));
        let lo = wrong("fe80::1%lo", Family::Any).unwrap();
        assert_eq!(lo, wrong("fe80::1%1", Family::V6).unwrap());
        assert_eq!(lo[0].to_string(), "[fe80::1%1]:7");
        let missing = wrong("fe80::1%no-such", Family::Any).unwrap_err();
        assert_eq!(missing.0, NoAddress::NoInterface);
    }

    #[test]
    fn an_address_that_may_end_in_a_port_is_refused_with_both_ways_to_write_it() {
        for (text, host, port) in [
            ("::1:80", "::1", "80"),
            ("fe80::1%eth0:9877", "fe80::1%eth0", "9877"),
            ("2001:db8::2:7", "2001:db8::2", "7"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(&format!("[{host}]:{port} for port {port}")), "{error}");
            assert!(error.contains(&format!("[{text}]")) || text.contains('%'), "{error}");
            assert!(parse_source(text).is_err() && parse_listen(text).is_err(), "{text}");
            let bracketed: Endpoint = format!("[{text}]").parse().unwrap();
            assert_eq!((bracketed.host.as_str(), bracketed.port), (text, DEFAULT_PORT));
            assert_eq!(Endpoint::with_port(text, "7").map(|with| with.host), Ok(text.to_owned()));
        }
        let error = "fe80::1%\u{1b}:80".parse::<Endpoint>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
        for text in [
            "::1",
            "::",
            "fe80::1%eth0",
            "::80",
            "::1:0",
            "::1:8a",
            "::1:08",
            "1:2:3:4:5::7",
            "1:2:3:4:5:6:7:80",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port), (text, DEFAULT_PORT), "{text}");
        }
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
        fn addresses_survive_a_round_trip(ip in any::<IpAddr>(), port in 1..=u16::MAX) {
            let addr = SocketAddr::new(ip, port);
            let endpoint: Endpoint = addr.to_string().parse().unwrap();
            prop_assert_eq!(&endpoint, &Endpoint { host: ip.to_string(), port });
            prop_assert_eq!(Endpoint::with_port(&ip.to_string(), &port.to_string()), Ok(endpoint));
        }
    }
}
