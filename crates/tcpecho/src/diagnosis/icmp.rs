//! ICMP and ICMPv6 errors: their names (RFC 792, 1122, 1812, 4443) and what kind of refusal each is.

use tcpecho_os::error_queue::{Origin, QueuedError};

/// The meaning of an ICMP error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Network,
    Host,
    Protocol,
    Port,
    Prohibited,
    Loop,
    Malformed,
}

/// Type, code, name, kind.
type Row = (u8, u8, &'static str, Refusal);

const V4: &[Row] = &[
    (3, 0, "network unreachable", Refusal::Network),
    (3, 1, "host unreachable", Refusal::Host),
    (3, 2, "protocol unreachable", Refusal::Protocol),
    (3, 3, "port unreachable", Refusal::Port),
    (3, 5, "source route failed", Refusal::Host),
    (3, 6, "network unknown", Refusal::Network),
    (3, 7, "host unknown", Refusal::Host),
    (3, 8, "source host isolated", Refusal::Host),
    (3, 9, "network administratively prohibited", Refusal::Prohibited),
    (3, 10, "host administratively prohibited", Refusal::Prohibited),
    (3, 11, "network unreachable for this service", Refusal::Network),
    (3, 12, "host unreachable for this service", Refusal::Host),
    (3, 13, "communication administratively prohibited", Refusal::Prohibited),
    (3, 14, "host precedence violation", Refusal::Prohibited),
    (3, 15, "precedence cutoff", Refusal::Prohibited),
    (11, 0, "time exceeded in transit", Refusal::Loop),
    (12, 0, "parameter problem", Refusal::Malformed),
];

const V6: &[Row] = &[
    (1, 0, "no route to destination", Refusal::Network),
    (1, 1, "administratively prohibited", Refusal::Prohibited),
    (1, 2, "beyond scope of source address", Refusal::Host),
    (1, 3, "address unreachable", Refusal::Host),
    (1, 4, "port unreachable", Refusal::Port),
    (1, 5, "source address failed policy", Refusal::Prohibited),
    (1, 6, "reject route", Refusal::Prohibited),
    (3, 0, "time exceeded in transit", Refusal::Loop),
    (4, 0, "erroneous header field", Refusal::Malformed),
    (4, 1, "unrecognized next header", Refusal::Malformed),
];

fn row(error: &QueuedError) -> Option<&'static Row> {
    let table = match error.origin {
        Origin::Icmp => V4,
        Origin::Icmp6 => V6,
        Origin::Local => return None,
    };
    table.iter().find(|row| (row.0, row.1) == (error.kind, error.code))
}

/// Returns its meaning, if it is a refusal.
pub(super) fn refusal(error: &QueuedError) -> Option<Refusal> {
    row(error).map(|row| row.3)
}

/// Its name with its numbers: `ICMP host unreachable (3/1)`.
pub(super) fn name(error: &QueuedError) -> String {
    let QueuedError { kind, code, .. } = error;
    let protocol = if error.origin == Origin::Icmp6 { "ICMPv6" } else { "ICMP" };
    match row(error) {
        Some(row) => format!("{protocol} {} ({kind}/{code})", row.2),
        None => format!("{protocol} error ({kind}/{code})"),
    }
}
