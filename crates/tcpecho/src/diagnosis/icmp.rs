//! ICMP and ICMPv6 errors in the socket's error queue: their names and meanings.

use tcpecho_os::{
    error_queue::{Origin, QueuedError},
    icmp::{Meaning, Message, message},
};

fn row(error: &QueuedError) -> Option<&'static Message> {
    match error.origin {
        Origin::Icmp => message(false, error.kind, error.code),
        Origin::Icmp6 => message(true, error.kind, error.code),
        Origin::Local => None,
    }
}

/// Returns its meaning, if it is known.
pub(super) fn meaning(error: &QueuedError) -> Option<Meaning> {
    row(error).map(|row| row.meaning)
}

/// Its name with its numbers: `ICMP host unreachable (3/1)`.
pub(super) fn name(error: &QueuedError) -> String {
    let QueuedError { kind, code, .. } = error;
    let protocol = if error.origin == Origin::Icmp6 { "ICMPv6" } else { "ICMP" };
    match row(error) {
        Some(row) => format!("{protocol} {} ({kind}/{code})", row.name),
        None => format!("{protocol} error ({kind}/{code})"),
    }
}
