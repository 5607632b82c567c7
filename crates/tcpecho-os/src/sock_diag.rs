//! Lists the TCP sockets of a network namespace, of all processes: `inet_diag` over netlink (sock_diag(7)).
//!
//! Needs no privilege. The kernel answers for the network namespace of the calling thread.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result, retry_on_intr};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::tcp_state::TcpState;

/// The most sockets that [`tcp_sockets`] returns of either family: memory must not grow with what
/// peers do. The kernel names listeners first.
pub const MOST: usize = 4096;

/// One TCP socket, as the kernel shows it without privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    /// Its state. A socket that is bound and neither listens nor connects is `Close` (listed by
    /// Linux 6.8 and later).
    pub state: TcpState,
    /// The local address. The scope is the interface that the socket is bound to, or 0.
    pub local: SocketAddr,
    /// The remote address, unspecified for a listener.
    pub remote: SocketAddr,
    /// For an IPv6 listener or bound socket: whether it is IPv6 only (`IPV6_V6ONLY`).
    pub v6only: bool,
    /// The inode that `/proc/PID/fd` shows, 0 when no process holds the socket (`TIME_WAIT`).
    pub inode: u32,
    /// The user id of its creator.
    pub uid: u32,
    /// Bytes not read yet (after a FIN, one more). On a listener: connections in the accept queue.
    pub rqueue: u32,
    /// Bytes not acknowledged (a SYN or FIN is one). On a listener: the backlog in force.
    pub wqueue: u32,
    /// Milliseconds until `TIME_WAIT` ends.
    pub time_wait_ms: Option<u32>,
}

/// Lists the TCP sockets, IPv4 and IPv6 and in every state, whose local port is `port`; at most
/// [`MOST`] of each. Port 0 lists the sockets of every port.
///
/// # Errors
///
/// Those of socket(2), sendto(2) and recv(2); `ENOENT` if the kernel has no `inet_diag`; `EBADMSG`
/// for a malformed answer.
pub fn tcp_sockets(port: u16) -> Result<Vec<TcpSocket>> {
    // A socket each: the rest of an unfinished answer must not be taken for the next one.
    let mut found = dump(&open()?, libc::AF_INET as u8, port)?;
    found.extend(dump(&open()?, libc::AF_INET6 as u8, port)?);
    Ok(found)
}

/// Access to the sockets of one network namespace: that of the thread which opened it. Any thread may use it.
#[derive(Debug)]
pub struct SockDiag {
    netlink: OwnedFd,
}

impl SockDiag {
    /// Opens a netlink socket in the namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// Those of socket(2).
    pub fn open() -> Result<Self> {
        open().map(|netlink| SockDiag { netlink })
    }

    /// Lists the namespace's TCP sockets of one family, at most [`MOST`], as [`tcp_sockets`] does.
    ///
    /// # Errors
    ///
    /// As [`tcp_sockets`]. After an error, open a new one: the rest of an answer may be queued.
    pub fn tcp_sockets(&mut self, ipv6: bool) -> Result<Vec<TcpSocket>> {
        let family = if ipv6 { libc::AF_INET6 } else { libc::AF_INET };
        dump(&self.netlink, family as u8, 0)
    }

    /// Destroys a socket of any process (`SOCK_DESTROY`): resets a connection, makes a listener's accept(2) fail, ends
    /// `TIME_WAIT`.
    ///
    /// # Errors
    ///
    /// `EPERM` without `CAP_NET_ADMIN`, `ENOENT` if it no longer exists, `EOPNOTSUPP` if this kernel cannot.
    pub fn destroy(&mut self, socket: &TcpSocket) -> Result<()> {
        let request = destruction(socket);
        retry_on_intr(|| net::send(&self.netlink, &request, SendFlags::empty()))?;
        let mut answer = [0; 1024];
        let (length, _) =
            retry_on_intr(|| net::recv(&self.netlink, &mut answer[..], RecvFlags::empty()))?;
        read_answer(&answer[..length], 0, &mut Vec::new()).map(drop)
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2` of `SOCK_DESTROY`, with any cookie.
fn destruction(socket: &TcpSocket) -> [u8; 72] {
    const SOCK_DESTROY: u16 = 21;
    let family = if socket.local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut bytes = request(family as u8, socket.local.port());
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    bytes[4..6].copy_from_slice(&SOCK_DESTROY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[26..28].copy_from_slice(&socket.remote.port().to_be_bytes());
    for (at, address) in [(28, socket.local), (44, socket.remote)] {
        match address.ip() {
            IpAddr::V4(ip) => bytes[at..at + 4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes[at..at + 16].copy_from_slice(&ip.octets()),
        }
    }
    bytes[64..72].fill(0xff);
    bytes
}

fn dump(netlink: &OwnedFd, family: u8, port: u16) -> Result<Vec<TcpSocket>> {
    retry_on_intr(|| net::send(netlink, &request(family, port), SendFlags::empty()))?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    while found.len() < MOST {
        let (length, _) =
            retry_on_intr(|| net::recv(netlink, &mut buffer[..], RecvFlags::empty()))?;
        if read_answer(&buffer[..length], port, &mut found)? == Answer::Complete {
            break;
        }
    }
    found.truncate(MOST);
    Ok(found)
}

fn open() -> Result<OwnedFd> {
    let protocol = Some(netlink::SOCK_DIAG);
    net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
}

const NLMSG_HEADER: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const DIAG_MSG: usize = 72;
const INET_DIAG_SKV6ONLY: u16 = 11;
const TIMER_TIME_WAIT: u8 = 3;

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: every state of TCP, one source port.
fn request(family: u8, port: u16) -> [u8; 72] {
    let mut bytes = [0; 72];
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    bytes[..4].copy_from_slice(&72_u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[16] = family;
    bytes[17] = libc::IPPROTO_TCP as u8;
    bytes[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    bytes[24..26].copy_from_slice(&port.to_be_bytes());
    bytes
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    MoreToCome,
    Complete,
}

/// Reads one datagram of netlink messages; whatever the bytes are, it returns.
fn read_answer(mut bytes: &[u8], port: u16, found: &mut Vec<TcpSocket>) -> Result<Answer> {
    if bytes.is_empty() {
        return Err(Errno::BADMSG);
    }
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0).ok_or(Errno::BADMSG)? as usize;
        let kind = u16_at(bytes, 4).ok_or(Errno::BADMSG)?;
        let body = bytes.get(NLMSG_HEADER..length).ok_or(Errno::BADMSG)?;
        match i32::from(kind) {
            libc::NLMSG_DONE | libc::NLMSG_ERROR => return verdict(body),
            _ if kind == SOCK_DIAG_BY_FAMILY => found.extend(
                read_socket(body).filter(|socket| port == 0 || socket.local.port() == port),
            ),
            _ => {}
        }
        bytes = after(bytes, length);
    }
    Ok(Answer::MoreToCome)
}

/// What `NLMSG_DONE` or `NLMSG_ERROR` carries: 0 or an errno below it.
fn verdict(body: &[u8]) -> Result<Answer> {
    match u32_at(body, 0).unwrap_or(0).cast_signed() {
        0.. => Ok(Answer::Complete),
        error @ -4095.. => Err(Errno::from_raw_os_error(-error)),
        _ => Err(Errno::BADMSG),
    }
}

/// `struct inet_diag_msg` and the attributes behind it.
fn read_socket(body: &[u8]) -> Option<TcpSocket> {
    let &[family, state, timer, ..] = body else { return None };
    let interface = u32_at(body, 40)?;
    let socket = TcpSocket {
        state: TcpState::from_number(state),
        local: address(family, body.get(8..24)?, u16_at(body, 4)?, interface)?,
        remote: address(family, body.get(24..40)?, u16_at(body, 6)?, interface)?,
        v6only: false,
        time_wait_ms: (timer == TIMER_TIME_WAIT).then_some(u32_at(body, 52)?),
        rqueue: u32_at(body, 56)?,
        wqueue: u32_at(body, 60)?,
        uid: u32_at(body, 64)?,
        inode: u32_at(body, 68)?,
    };
    Some(TcpSocket { v6only: v6only(body.get(DIAG_MSG..)?), ..socket })
}

fn address(family: u8, ip: &[u8], port_be: u16, interface: u32) -> Option<SocketAddr> {
    let port = u16::from_be(port_be);
    match i32::from(family) {
        libc::AF_INET => Some((IpAddr::V4(Ipv4Addr::from(*ip.first_chunk::<4>()?)), port).into()),
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(*ip.first_chunk::<16>()?);
            let scope = if ip.is_unicast_link_local() { interface } else { 0 };
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        _ => None,
    }
}

/// Looks for `INET_DIAG_SKV6ONLY` among the attributes (`struct rtattr`, netlink(7)).
fn v6only(mut attributes: &[u8]) -> bool {
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let Some(value) = attributes.get(4..usize::from(length)) else { return false };
        if kind == INET_DIAG_SKV6ONLY {
            return value.first().is_some_and(|&on| on != 0);
        }
        attributes = after(attributes, usize::from(length));
    }
    false
}

/// What follows a message or attribute of that length, which is padded to four bytes.
fn after(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(length.next_multiple_of(4)..).unwrap_or_default()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::linux::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_listener_and_a_connection_are_found() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(local) else {
                println!("SKIP {local}: this host has no such address");
                continue;
            };
            let local = listener.local_addr().unwrap();
            let client = TcpStream::connect(local).unwrap();
            // Only then has the listener's side seen the last ACK.
            let _accepted = listener.accept().unwrap();
            let found = tcp_sockets(local.port()).unwrap();
            let listening = found.iter().find(|s| s.state == TcpState::Listen).unwrap();
            assert_eq!(listening.local, local);
            assert_eq!(u64::from(listening.inode), inode(&listener));
            let ours = client.local_addr().unwrap();
            assert!(found.iter().any(|s| s.remote == ours && s.state == TcpState::Established));
            assert!(found.iter().all(|s| s.local.port() == local.port()));
        }
    }

    fn inode(socket: &TcpListener) -> u64 {
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(socket);
        std::fs::metadata(format!("/proc/self/fd/{descriptor}")).unwrap().st_ino()
    }

    /// One message: header, `struct inet_diag_msg` of an IPv6 listener on port 80, `V6ONLY` on.
    fn listener_message() -> Vec<u8> {
        let mut bytes = vec![0; NLMSG_HEADER + DIAG_MSG + 8];
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes[16] = libc::AF_INET6 as u8;
        bytes[17] = 10;
        bytes[20..22].copy_from_slice(&80_u16.to_be_bytes());
        bytes[88..90].copy_from_slice(&5_u16.to_ne_bytes());
        bytes[90..92].copy_from_slice(&INET_DIAG_SKV6ONLY.to_ne_bytes());
        bytes[92] = 1;
        bytes
    }

    #[test]
    fn a_message_is_read_and_cut_ones_are_not() {
        let message = listener_message();
        let mut found = Vec::new();
        assert_eq!(read_answer(&message, 80, &mut found), Ok(Answer::MoreToCome));
        assert_eq!(read_answer(&message, 81, &mut found), Ok(Answer::MoreToCome));
        assert_eq!(found.len(), 1);
        assert!(found[0].v6only && found[0].state == TcpState::Listen);
        for length in 0..message.len() {
            assert_eq!(read_answer(&message[..length], 80, &mut found), Err(Errno::BADMSG));
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_stay() {
        let message = listener_message();
        for position in 0..message.len() {
            for byte in [0, 1, 3, 4, 15, 16, 17, 127, 128, 255] {
                let mut hostile = message.repeat(2);
                hostile[position] = byte;
                let _ = read_answer(&hostile, 0, &mut Vec::new());
            }
        }
    }

    #[test]
    fn the_kernel_s_refusal_is_its_errno() {
        assert_eq!(verdict(&(-libc::ENOENT).to_ne_bytes()), Err(Errno::NOENT));
        assert_eq!(verdict(&i32::MIN.to_ne_bytes()), Err(Errno::BADMSG));
        assert_eq!(verdict(&[]), Ok(Answer::Complete));
    }
}
