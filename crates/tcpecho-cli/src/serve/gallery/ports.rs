//! The range of consecutive ports that a gallery takes: the first is for the page, and each row has one.

use std::{
    hash::{BuildHasher, RandomState},
    net::{SocketAddr, TcpListener},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt},
};
use tcpecho::{Error, internal::explain_bind};
use tcpecho_os::sysctl;

/// How many ranges are tried where any range will do.
const ATTEMPTS: usize = 64;
/// The backlog of the page's listeners.
const BACKLOG: i32 = 128;

/// Takes a range with `begin`, which binds everything from a first port on. With port 0, other ranges are tried while a port
/// of one is in use.
pub(super) fn take<T>(
    addrs: &[SocketAddr],
    rows: u16,
    mut begin: impl FnMut(Vec<TcpListener>, &[SocketAddr]) -> Result<T, Error>,
) -> Result<T, Error> {
    let any = addrs[0].port() == 0;
    let mut tried = 0;
    loop {
        let mut addrs = addrs.to_vec();
        if any {
            let port = candidate(rows);
            for addr in &mut addrs {
                addr.set_port(port);
            }
        }
        let port = addrs[0].port();
        let result = match port.checked_add(rows) {
            None => Err(too_high(addrs[0], rows)),
            Some(last) => first(&addrs).map_err(|error| in_range(error, port, last)).and_then(
                |(page, addrs)| {
                    let port = addrs[0].port();
                    let last = port.checked_add(rows).ok_or_else(|| too_high(addrs[0], rows))?;
                    begin(page, &addrs).map_err(|error| in_range(error, port, last))
                },
            ),
        };
        tried += 1;
        match result {
            Err(error) if any && tried < ATTEMPTS && is_taken(&error) => {}
            Err(error) if any && tried == ATTEMPTS => {
                let ports = u32::from(rows) + 1;
                return Err(error.note(format!(
                    "no range of {ports} free ports was found in {tried} attempts"
                )));
            }
            result => return result,
        }
    }
}

/// The lowest port that is tried where any will do: many programs have a configured one below.
const LOWEST: u16 = 10_240;

/// Draws the first port of a range that no outgoing connection takes: outside of net.ipv4.ip_local_port_range, in which ports
/// may be in TIME_WAIT. If there is no room outside, it is 0, and the kernel chooses.
fn candidate(rows: u16) -> u16 {
    let range = sysctl::read("net.ipv4.ip_local_port_range").ok();
    let bounds = range.and_then(|range| {
        let mut bounds = range.split_whitespace().map(str::parse);
        Some((bounds.next()?.ok()?, bounds.next()?.ok()?))
    });
    let (lowest_taken, highest_taken) = bounds.unwrap_or((32_768, 60_999));
    let drawn = RandomState::new().hash_one(rows);
    candidate_outside(lowest_taken, highest_taken, rows, drawn)
}

fn candidate_outside(lowest_taken: u16, highest_taken: u16, rows: u16, drawn: u64) -> u16 {
    let below = (LOWEST, lowest_taken.saturating_sub(1));
    let above = (highest_taken.saturating_add(1).max(LOWEST), u16::MAX);
    // How many first ports there are.
    let choices = |(from, to): (u16, u16)| to.saturating_sub(from).saturating_sub(rows);
    let widest = if choices(below) >= choices(above) { below } else { above };
    match choices(widest) {
        0 => 0,
        choices => widest.0 + (drawn % u64::from(choices)) as u16,
    }
}

/// Whether another range may be free.
fn is_taken(error: &Error) -> bool {
    [Errno::ADDRINUSE, Errno::OVERFLOW].contains(&error.source.into())
}

fn too_high(addr: SocketAddr, rows: u16) -> Error {
    let highest = u16::MAX - rows;
    Error::at("bind", addr, Errno::OVERFLOW)
        .note(format!(
            "the gallery needs {rows} more ports after its first one, and the last port is 65535"
        ))
        .advise(format!("choose a first port of at most {highest}"))
}

/// Adds what the range has to do with an error.
fn in_range(error: Error, first: u16, last: u16) -> Error {
    if error.source != Errno::ADDRINUSE || first == 0 {
        return error;
    }
    error.advise(format!(
        "the gallery needs all ports from {first} to {last}; choose another first port, or port 0 for any free range"
    ))
}

/// Binds the listeners of the page. With port 0, the first address decides the port of the others. Returns the addresses with
/// their port.
fn first(addrs: &[SocketAddr]) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), Error> {
    let (mut listeners, mut bound) = (Vec::new(), Vec::<SocketAddr>::new());
    for addr in addrs {
        let mut addr = *addr;
        if let Some(first) = bound.first() {
            addr.set_port(first.port());
        }
        let v6_only = addr.is_ipv6() && addrs.iter().any(SocketAddr::is_ipv4);
        let listener = listener(addr, v6_only).map_err(|(op, errno)| {
            let reasons = explain_bind(addr, errno, true);
            let error = reasons.causes.into_iter().fold(Error::at(op, addr, errno), Error::note);
            reasons.advice.into_iter().fold(error, Error::advise)
        })?;
        let real = listener.local_addr().map_err(|error| {
            Error::at("getsockname", addr, Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })?;
        listeners.push(listener);
        bound.push(real);
    }
    Ok((listeners, bound))
}

fn listener(addr: SocketAddr, v6_only: bool) -> Result<TcpListener, (&'static str, Errno)> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|errno| ("socket", errno))?;
    // A gallery that is started again finds its former connections in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true).map_err(|errno| ("setsockopt", errno))?;
    if v6_only {
        sockopt::set_ipv6_v6only(&socket, true).map_err(|errno| ("setsockopt", errno))?;
    }
    bind(&socket, &addr).map_err(|errno| ("bind", errno))?;
    listen(&socket, BACKLOG).map_err(|errno| ("listen", errno))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_outside_of_the_ports_of_outgoing_connections() {
        for (lowest, highest, from, to) in [
            (32_768, 60_999, LOWEST, 32_767),
            (1024, 20_000, 20_001, 65_535),
            (10_000, 11_000, 11_001, 65_535),
        ] {
            for drawn in 0..60_000 {
                let port = candidate_outside(lowest, highest, 24, drawn);
                assert!(port >= from && port + 24 <= to, "{lowest} {highest}: {port}");
            }
        }
        // All ports, and all but a few.
        for (lowest, highest) in [(1, u16::MAX), (1024, 65_530), (LOWEST + 10, 65_530)] {
            assert_eq!(candidate_outside(lowest, highest, 24, 7), 0);
        }
    }
}
