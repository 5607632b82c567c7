//! Reads the error queue of a socket (`IP_RECVERR`, `IPV6_RECVERR`; ip(7), recvmsg(2) `MSG_ERRQUEUE`): ICMP errors about what
//! was sent, with the router that sent them.
//!
//! [`crate::socket::set_receive_errors`] enables it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use rustix::io::{Errno, Result};

use crate::control::receive_message;

/// The origin of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This kernel, without a packet.
    Local,
    /// An ICMP message.
    Icmp,
    /// An `ICMPv6` message.
    Icmp6,
}

/// One entry of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedError {
    /// The errno that a call would return.
    pub errno: Errno,
    /// Its origin.
    pub origin: Origin,
    /// The ICMP type; 0 for a local one.
    pub kind: u8,
    /// The ICMP code; 0 for a local one.
    pub code: u8,
    /// The MTU, for a packet that was too big.
    pub info: u32,
    /// The host or router that sent the ICMP message.
    pub offender: Option<IpAddr>,
}

/// The most entries that [`take_errors`] takes at once: routers may send any number.
const MOST: usize = 64;

/// Takes the entries of the queue, the oldest first, at most 64; never blocks. Drops other entries, such as time stamps.
///
/// # Errors
///
/// `ENOTSOCK` for a descriptor that is not a socket. An empty queue is not an error.
pub fn take_errors(fd: impl AsFd) -> Result<Vec<QueuedError>> {
    let mut taken = Vec::new();
    for _ in 0..MOST {
        let received = receive_message(&fd, &mut [], libc::MSG_ERRQUEUE, |level, kind, data| {
            if let (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) =
                (level, kind)
            {
                taken.extend(parse(data));
            }
        });
        match received {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(taken)
}

/// `struct sock_extended_err` (linux/errqueue.h), then the offender's address.
fn parse(data: &[u8]) -> Option<QueuedError> {
    let word = |at: usize| Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?));
    // The errno zero is none, and would be a panic.
    let errno = i32::try_from(word(0)?).ok().filter(|errno| (1..4096).contains(errno))?;
    let origin = match *data.get(4)? {
        libc::SO_EE_ORIGIN_LOCAL => Origin::Local,
        libc::SO_EE_ORIGIN_ICMP => Origin::Icmp,
        libc::SO_EE_ORIGIN_ICMP6 => Origin::Icmp6,
        _ => return None,
    };
    Some(QueuedError {
        errno: Errno::from_raw_os_error(errno),
        origin,
        kind: *data.get(5)?,
        code: *data.get(6)?,
        info: word(8)?,
        offender: data.get(16..).and_then(address),
    })
}

/// The address in a `sockaddr_in` or `sockaddr_in6`.
fn address(sockaddr: &[u8]) -> Option<IpAddr> {
    let family = i32::from(u16::from_ne_bytes(*sockaddr.first_chunk()?));
    match family {
        libc::AF_INET => {
            let octets: [u8; 4] = *sockaddr.get(4..)?.first_chunk()?;
            Some(Ipv4Addr::from(octets).into())
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = *sockaddr.get(8..)?.first_chunk()?;
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::socket::set_receive_errors;

    /// A UDP port that nobody has is answered by this host's own kernel with ICMP port unreachable.
    #[test]
    fn the_offender_and_its_message_are_told() {
        for (at, origin, numbers) in
            [("127.0.0.1:0", Origin::Icmp, (3, 3)), ("[::1]:0", Origin::Icmp6, (1, 4))]
        {
            let Ok(deserted) = UdpSocket::bind(at) else {
                eprintln!("SKIP {at}: no such family here");
                continue;
            };
            let addr = deserted.local_addr().unwrap();
            drop(deserted);
            let socket = UdpSocket::bind(at).unwrap();
            set_receive_errors(&socket, true).unwrap();
            assert_eq!(take_errors(&socket), Ok(Vec::new()));
            socket.connect(addr).unwrap();
            socket.send(b"hello").unwrap();
            // Over loopback the answer is there when send returns.
            let [error] = take_errors(&socket).unwrap()[..] else { panic!("not one error") };
            assert_eq!((error.errno, error.origin), (Errno::CONNREFUSED, origin));
            assert_eq!((error.kind, error.code), numbers);
            assert_eq!(error.offender, Some(addr.ip()));
        }
    }

    #[test]
    fn what_is_no_socket_has_no_queue_and_a_short_entry_is_none() {
        assert_eq!(take_errors(std::fs::File::open("/dev/null").unwrap()), Err(Errno::NOTSOCK));
        for length in 0..32 {
            for byte in [0, 2, 255] {
                let _ = parse(&[byte; 32][..length]);
            }
            let mut no_errno = [0; 32];
            no_errno[4] = libc::SO_EE_ORIGIN_ICMP;
            assert_eq!(parse(&no_errno[..length]), None);
        }
    }
}
