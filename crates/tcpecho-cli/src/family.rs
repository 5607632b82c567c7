//! The address family that `-4`, `-6` and source addresses leave.

use std::net::SocketAddr;

use tcpecho::{Family, ParseError};

/// Returns the family to resolve names to. A source address connects only to its own family.
pub(crate) fn family(ipv4: bool, ipv6: bool, sources: &[SocketAddr]) -> Result<Family, ParseError> {
    let asked = match (ipv4, ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    let Some(first) = sources.first() else { return Ok(asked) };
    let is_other =
        |source: &&SocketAddr| !asked.admits(source) || source.is_ipv4() != first.is_ipv4();
    match sources.iter().find(is_other) {
        Some(other) => {
            let sentence = format!("the source address {} is of the other family", other.ip());
            Err(ParseError::new(sentence))
        }
        None if first.is_ipv4() => Ok(Family::V4),
        None => Ok(Family::V6),
    }
}
