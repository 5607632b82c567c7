//! Which connections get a fault.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use super::{
    cursor::{Cursor, Read, expected, read_all},
    random::Random,
    value::write_time,
};
use crate::{ParseError, duration::parse_duration};

/// Which connections get a fault. Connections are numbered from 1 in the order of accept.
///
/// ```
/// use tcpecho::FaultWhen;
///
/// for text in ["all", "every=3", "probability=0.1", "peer=10.0.0.0/8", "peer=fd00::/8", "first=10s", "7", "2-5", "9-"] {
///     assert_eq!(text.parse::<FaultWhen>()?.to_string(), text);
/// }
/// # Ok::<(), tcpecho::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum FaultWhen {
    /// `all`: every connection.
    All,
    /// `every=N`: connections N, 2 N, 3 N, ...
    Every(u64),
    /// `probability=P`: each connection with this probability, from 0 to 1. The seed and the connection's number decide.
    Probability(f64),
    /// `peer=ADDRESS/LENGTH`: connections from addresses that begin with so many bits of this address.
    Peer(IpAddr, u8),
    /// `first=D`: connections that are accepted within this time after the server started.
    First(Duration),
    /// `N`, `N-M` or `N-`: the connections with these numbers; the second one is `u64::MAX` if there is no end.
    Numbers(u64, u64),
}

/// What a condition looks at.
pub(super) struct Candidate {
    pub(super) peer: SocketAddr,
    pub(super) n: u64,
    pub(super) seed: u64,
    pub(super) since_start: Duration,
}

impl FaultWhen {
    pub(super) fn holds(&self, candidate: &Candidate) -> bool {
        let n = candidate.n;
        match self {
            FaultWhen::All => true,
            FaultWhen::Every(every) => n.is_multiple_of(*every),
            FaultWhen::Probability(p) => Random::new(candidate.seed, n).unit() < *p,
            FaultWhen::Peer(ip, length) => begins_with(candidate.peer.ip(), *ip, *length),
            FaultWhen::First(time) => candidate.since_start < *time,
            FaultWhen::Numbers(from, to) => (*from..=*to).contains(&n),
        }
    }

    /// Reads a condition; `None` if the text does not begin with one.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Read<Option<Self>> {
        cursor.skip_spaces();
        if cursor.rest().starts_with(|c: char| c.is_ascii_digit()) {
            return numbers(cursor).map(Some);
        }
        let mut ahead = cursor.clone();
        let name = ahead.name();
        let read = match name {
            "all" => {
                *cursor = ahead;
                return Ok(Some(FaultWhen::All));
            }
            "every" => |cursor: &mut Cursor<'_>| number(cursor).map(FaultWhen::Every),
            "probability" => probability,
            "peer" => peer,
            "first" => first,
            _ => return Ok(None),
        };
        *cursor = ahead;
        if !cursor.take('=') {
            return Err(cursor.wrong(format!("expected = and a value after {name}")));
        }
        read(cursor).map(Some)
    }
}

fn begins_with(peer: IpAddr, ip: IpAddr, length: u8) -> bool {
    let differs = |a: u128, b: u128, bits: u32| {
        let rest = bits - u32::from(length).min(bits);
        (a ^ b).checked_shr(rest).is_some_and(|difference| difference != 0)
    };
    match (peer.to_canonical(), ip) {
        (IpAddr::V4(peer), IpAddr::V4(ip)) => {
            !differs(peer.to_bits().into(), ip.to_bits().into(), 32)
        }
        (IpAddr::V6(peer), IpAddr::V6(ip)) => !differs(peer.to_bits(), ip.to_bits(), 128),
        _ => false,
    }
}

/// A whole number, at least 1.
fn number(cursor: &mut Cursor<'_>) -> Read<u64> {
    let before = cursor.clone();
    let digits = cursor.take_while(|c| c.is_ascii_digit());
    let parsed = digits.parse().ok().filter(|n| *n > 0 && *n < u64::MAX);
    parsed.ok_or_else(|| before.wrong("expected a whole number from 1 on"))
}

fn numbers(cursor: &mut Cursor<'_>) -> Read<FaultWhen> {
    let before = cursor.clone();
    let from = number(cursor)?;
    if !cursor.take('-') {
        return Ok(FaultWhen::Numbers(from, from));
    }
    if !cursor.rest().starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(FaultWhen::Numbers(from, u64::MAX));
    }
    let to = number(cursor)?;
    if to < from {
        return Err(before.wrong("the range ends before it begins"));
    }
    Ok(FaultWhen::Numbers(from, to))
}

fn probability(cursor: &mut Cursor<'_>) -> Read<FaultWhen> {
    let before = cursor.clone();
    let digits = cursor.take_while(|c| c.is_ascii_digit() || c == '.');
    let parsed = digits.parse().ok().filter(|p| (0.0..=1.0).contains(p));
    parsed.map(FaultWhen::Probability).ok_or_else(|| before.wrong("expected a number from 0 to 1"))
}

fn first(cursor: &mut Cursor<'_>) -> Read<FaultWhen> {
    let before = cursor.clone();
    let word = cursor.take_while(|c| c.is_ascii_digit() || c == '.' || c.is_alphabetic());
    parse_duration(word).map(FaultWhen::First).map_err(|error| before.wrong(error.to_string()))
}

/// An address and the length of its prefix. Without a length, it is the whole IPv4 address.
fn peer(cursor: &mut Cursor<'_>) -> Read<FaultWhen> {
    let before = cursor.clone();
    let word = |is: fn(char) -> bool| before.clone().take_while(is);
    let v6 = word(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
    let v4 = word(|c| c.is_ascii_digit() || c == '.');
    let has_length = before.rest()[v6.len()..].starts_with('/');
    let text = if has_length { v6 } else { v4 };
    let ip: IpAddr = text.parse().map_err(|_| {
        expected(
            before.at(),
            text,
            "an address and the length of its prefix, such as 10.0.0.0/8 or fd00::/8",
        )
    })?;
    cursor.skip(text.len());
    let most = if ip.is_ipv4() { 32 } else { 128 };
    if !cursor.take('/') {
        return Ok(FaultWhen::Peer(ip, most));
    }
    let before = cursor.clone();
    let digits = cursor.take_while(|c| c.is_ascii_digit());
    let length = digits.parse().ok().filter(|length| *length <= most);
    let length =
        length.ok_or_else(|| before.wrong(format!("expected a length from 0 to {most}")))?;
    Ok(FaultWhen::Peer(ip, length))
}

impl FromStr for FaultWhen {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        read_all("a condition", text, |cursor| match FaultWhen::read(cursor)? {
            Some(when) => Ok(when),
            None => Err(cursor.wrong(
                "expected all, every=N, probability=P, peer=ADDRESS/LENGTH, first=D, N or N-M",
            )),
        })
    }
}

impl fmt::Display for FaultWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultWhen::All => f.write_str("all"),
            FaultWhen::Every(n) => write!(f, "every={n}"),
            FaultWhen::Probability(p) => write!(f, "probability={p}"),
            FaultWhen::Peer(ip, length) => write!(f, "peer={ip}/{length}"),
            FaultWhen::First(time) => {
                f.write_str("first=")?;
                write_time(f, *time)
            }
            FaultWhen::Numbers(from, to) if from == to => write!(f, "{from}"),
            FaultWhen::Numbers(from, u64::MAX) => write!(f, "{from}-"),
            FaultWhen::Numbers(from, to) => write!(f, "{from}-{to}"),
        }
    }
}
