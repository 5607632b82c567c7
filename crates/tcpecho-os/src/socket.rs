//! A socket's queues and options that rustix lacks (tcp(7), ip(7), socket(7)).
//!
//! Nothing here allocates, locks or keeps state, so that a forked child may call it.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::io::Result;
use rustix::ioctl::{Getter, Opcode, ioctl};
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{Shutdown, connect_unspec, shutdown};

use crate::errno::last_errno;
use crate::tcp_info::{TcpInfo, tcp_info};
use crate::tcp_state::TcpState;

/// `SIOCOUTQ` has the number of the terminal's `TIOCOUTQ` (linux/sockios.h).
const SIOCOUTQ: Opcode = libc::TIOCOUTQ as Opcode;

/// Returns the number of bytes in the send queue that the peer has not acknowledged (`SIOCOUTQ`), sent
/// or not; an unacknowledged FIN counts as one.
///
/// # Errors
///
/// `EINVAL` for a listening socket, `ENOTTY` for a descriptor that is not a socket.
pub fn unsent(fd: impl AsFd) -> Result<u32> {
    // SAFETY: SIOCOUTQ takes a pointer to an int and writes that int, as `Getter` promises for it.
    let bytes = unsafe { ioctl(fd, Getter::<SIOCOUTQ, libc::c_int>::new()) }?;
    Ok(bytes.cast_unsigned())
}

/// Returns the number of received bytes that were not read yet (`SIOCINQ`, that is `FIONREAD`), without a FIN.
///
/// # Errors
///
/// `EINVAL` for a listening socket, `ENOTTY` for a descriptor without such a queue.
pub fn unread(fd: impl AsFd) -> Result<u32> {
    rustix::io::ioctl_fionread(fd).map(|bytes| bytes as u32)
}

/// Ends the connection of an echo server at once: with RST if bytes are lost, otherwise with FIN. Wakes threads that block
/// on the socket.
///
/// Bytes are lost that the peer has not acknowledged, that were not read (RFC 1122 4.2.2.13), or that were read and not sent,
/// wherever the program keeps them (by the kernel's counters; Linux 4.19). Then no FIN precedes the RST, unless it was sent
/// already.
pub fn abort_echo(fd: impl AsFd) {
    let fd = fd.as_fd();
    let info = tcp_info(fd).ok();
    let owes = info.as_ref().is_some_and(owes_echo);
    abort_with(fd, owes || has_queued(fd, info.as_ref()));
}

/// Ends any connection at once, as [`abort_echo`] does, with RST if bytes are lost.
///
/// `owes` says whether the program keeps bytes that it was to send. An echo server's bytes can be counted by the kernel; not
/// those of a program that also sends bytes of its own, or discards some.
pub fn abort(fd: impl AsFd, owes: bool) {
    let fd = fd.as_fd();
    abort_with(fd, owes || has_queued(fd, tcp_info(fd).ok().as_ref()));
}

fn abort_with(fd: BorrowedFd<'_>, loses_bytes: bool) {
    // Linux 6.5 and 6.6 do not dissolve an association (EBUSY) while a thread waits on the socket. There shutdown(2) wakes
    // it, and close(2) sends RST, behind a FIN if that could still go out.
    if !loses_bytes || !dissolve(fd) {
        // It can only fail because the connection is over already.
        let _ = shutdown(fd, Shutdown::Both);
    }
}

/// Ends a connection with RST, whether or not bytes are lost. Wakes a thread that receives.
pub fn reset(fd: impl AsFd) {
    let fd = fd.as_fd();
    if !dissolve(fd) {
        // Wakes a reader and sends nothing. Then close(2) sends RST.
        let _ = shutdown(fd, Shutdown::Read);
    }
}

/// Sends RST there and then; if that fails, close(2) sends it.
fn dissolve(fd: BorrowedFd<'_>) -> bool {
    let _ = set_socket_linger(fd, Some(Duration::ZERO));
    connect_unspec(fd).is_ok()
}

/// Whether there are bytes that the peer has not acknowledged or that were not read.
fn has_queued(fd: BorrowedFd<'_>, info: Option<&TcpInfo>) -> bool {
    let more_than = |few: u32, bytes: Result<u32>| bytes.is_ok_and(|bytes| bytes > few);
    // Our FIN counts while it is not acknowledged: that alone is no byte that could be lost.
    let fin = [TcpState::FinWait1, TcpState::Closing, TcpState::LastAck];
    let fin = u32::from(info.is_some_and(|info| fin.contains(&info.state)));
    more_than(fin, unsent(fd)) || more_than(0, unread(fd))
}

/// Whether the program has not sent as much as was received, before its FIN.
fn owes_echo(info: &TcpInfo) -> bool {
    let fin = match info.state {
        TcpState::Established => 0,
        TcpState::CloseWait => 1,
        _ => return false,
    };
    let written = || {
        let sent = info.bytes_sent?.checked_sub(info.bytes_retrans?)?;
        Some(sent + u64::from(info.notsent_bytes?))
    };
    match (info.bytes_received, written()) {
        (Some(received), Some(written)) => received != written + fin,
        _ => false,
    }
}

/// Sets whether ICMP errors are reported at once and queued (`IP_RECVERR`, `IPV6_RECVERR`; ip(7)).
/// [`crate::error_queue`] reads the queue.
///
/// # Errors
///
/// `ENOTSOCK` for what is not a socket, `EOPNOTSUPP` or `ENOPROTOOPT` for one that is not an IP socket.
pub fn set_receive_errors(fd: impl AsFd, on: bool) -> Result<()> {
    let fd = fd.as_fd();
    let (level, option) = match rustix::net::sockopt::socket_domain(fd)? {
        rustix::net::AddressFamily::INET6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        _ => (libc::IPPROTO_IP, libc::IP_RECVERR),
    };
    set_int(fd, level, option, libc::c_int::from(on))
}

/// Sets whether connect(2), and not bind(2), chooses the port when only an address is bound (`IP_BIND_ADDRESS_NO_PORT`;
/// ip(7)): it may then choose one that has a connection to another peer. Applies to IPv6 sockets, too.
///
/// # Errors
///
/// `ENOPROTOOPT` before Linux 4.2.
pub fn set_bind_address_no_port(fd: impl AsFd, on: bool) -> Result<()> {
    set_int(fd.as_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, libc::c_int::from(on))
}

/// Lets accept(2) return a connection only when its first data has arrived, or after about this time (`TCP_DEFER_ACCEPT`; tcp(7));
/// zero switches it off.
///
/// # Errors
///
/// `ENOTSOCK`, `EOPNOTSUPP` or `ENOPROTOOPT` for a descriptor that is not a TCP socket.
pub fn set_defer_accept(fd: impl AsFd, time: Duration) -> Result<()> {
    let seconds = libc::c_int::try_from(time.as_secs()).unwrap_or(libc::c_int::MAX);
    set_int(fd.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)
}

/// Lets a listener take data that comes in a SYN (`TCP_FASTOPEN`; tcp(7), RFC 7413), of at most this number of connections whose
/// handshake is not complete; 0 switches it off. The bit 2 of `net.ipv4.tcp_fastopen` must be set.
///
/// # Errors
///
/// `EINVAL` for a socket that neither listens nor is closed.
pub fn set_fastopen(fd: impl AsFd, queue: u32) -> Result<()> {
    let queue = libc::c_int::try_from(queue).unwrap_or(libc::c_int::MAX);
    set_int(fd.as_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN, queue)
}

/// Lets connect(2) return at once when there is a Fast Open cookie for the peer, so that the SYN takes the first data with it
/// (`TCP_FASTOPEN_CONNECT`; RFC 7413). The bit 1 of `net.ipv4.tcp_fastopen` must be set.
///
/// # Errors
///
/// `EOPNOTSUPP` where that bit is not set; `EINVAL` for a socket that is not closed.
pub fn set_fastopen_connect(fd: impl AsFd, on: bool) -> Result<()> {
    set_int(fd.as_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, libc::c_int::from(on))
}

/// Sends SIGURG to this process when urgent data arrives (`F_SETOWN`; fcntl(2), UNP 24.2).
///
/// # Errors
///
/// Those of fcntl(2).
pub fn own(fd: impl AsFd) -> Result<()> {
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd());
    let pid = rustix::process::getpid().as_raw_pid();
    // SAFETY: the command takes a process number.
    if unsafe { libc::fcntl(raw, libc::F_SETOWN, pid) } == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Whether the next byte to read is the one at the urgent mark (sockatmark(3)).
///
/// # Errors
///
/// `ENOTTY` for a descriptor that has no such mark.
pub fn is_at_mark(fd: impl AsFd) -> Result<bool> {
    // SAFETY: the function takes a descriptor, which is borrowed.
    match unsafe { sockatmark(std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd())) } {
        -1 => Err(last_errno()),
        at => Ok(at == 1),
    }
}

unsafe extern "C" {
    // POSIX; the libc crate leaves it out.
    fn sockatmark(fd: libc::c_int) -> libc::c_int;
}

fn set_int(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    // SAFETY: the option takes an int, and its address and size are passed.
    match unsafe { libc::setsockopt(raw, level, option, (&raw const value).cast(), size) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Binds a socket to an interface (`SO_BINDTODEVICE`; socket(7)).
///
/// # Errors
///
/// `ENODEV` if no interface has this name; `EPERM` if the socket is bound to another one and the caller lacks
/// `CAP_NET_RAW`.
pub fn bind_to_device(fd: impl AsFd, name: &str) -> Result<()> {
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd());
    let size = name.len() as libc::socklen_t;
    // SAFETY: the option takes a name of the length that is passed; the kernel ends it itself.
    let result = unsafe {
        let value = name.as_ptr().cast();
        libc::setsockopt(raw, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, value, size)
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn an_abort_sends_rst_or_fin_and_wakes_blocked_threads() {
        // Unread here; not acknowledged there; nothing lost, with a thread that waits.
        for (unread, stuck) in [(true, false), (false, true), (false, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            if unread {
                client.write_all(b"hello").unwrap();
                server.peek(&mut [0; 1]).unwrap();
            }
            let waiting = server.try_clone().unwrap();
            let woken = std::thread::spawn(move || {
                if stuck {
                    while server.write(&[0; 8192]).is_ok() {}
                } else if !unread {
                    let _ = server.read(&mut [0; 1]);
                }
            });
            while stuck && unsent(&waiting).unwrap() < 100_000 {
                std::thread::yield_now();
            }
            abort_echo(&waiting);
            woken.join().unwrap();
            drop(waiting);
            let seen = std::iter::repeat_with(|| client.read(&mut [0; 4096]))
                .find(|n| !matches!(n, Ok(1..)));
            let reset =
                seen.unwrap().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
            assert_eq!(reset, unread || stuck);
        }
    }

    /// A program that has read five bytes ends after it has sent so many of them.
    #[test]
    fn bytes_that_the_program_has_read_and_not_sent_are_lost() {
        for (local, sent) in [
            ("127.0.0.1:0", 0),
            ("127.0.0.1:0", 4),
            ("127.0.0.1:0", 5),
            ("[::1]:0", 4),
            ("[::1]:0", 5),
        ] {
            for half_closed in [false, true] {
                let Ok(listener) = TcpListener::bind(local) else { continue };
                let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (mut server, _) = listener.accept().unwrap();
                client.write_all(b"hello").unwrap();
                server.read_exact(&mut [0; 5]).unwrap();
                if half_closed {
                    client.shutdown(std::net::Shutdown::Write).unwrap();
                    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
                }
                server.write_all(&b"hello"[..sent]).unwrap();
                // Only the program knows of them now.
                while unsent(&server).unwrap() > 0 {
                    std::thread::yield_now();
                }
                abort_echo(&server);
                let mut back = Vec::new();
                let end = client.read_to_end(&mut back).map_err(|error| error.kind());
                let wanted = if sent == 5 { Ok(5) } else { Err(ErrorKind::ConnectionReset) };
                assert_eq!(
                    (back.len(), end),
                    (sent, wanted),
                    "{local}, half-closed: {half_closed}"
                );
            }
        }
    }

    #[test]
    fn a_reset_is_one_whether_or_not_bytes_are_lost() {
        for echoed in [0, 1, 5] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            server.write_all(&b"hello"[..echoed]).unwrap();
            client.read_exact(&mut vec![0; echoed]).unwrap();
            reset(&server);
            let end = client.read(&mut [0; 1]).map_err(|error| error.kind());
            assert_eq!(end, Err(ErrorKind::ConnectionReset));
        }
    }

    #[test]
    fn a_fin_that_is_not_acknowledged_yet_is_nothing_lost() {
        // The acknowledgement may come at once or later, so more than once.
        for _ in 0..20 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            client.set_read_timeout(Some(std::time::Duration::from_millis(10))).unwrap();
            server.shutdown(std::net::Shutdown::Write).unwrap();
            abort_echo(&server);
            drop(server);
            for _ in 0..3 {
                assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
            }
        }
    }

    #[test]
    fn an_interface_has_to_be_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(bind_to_device(&listener, "no-such-dev"), Err(Errno::NODEV));
        assert_eq!(
            bind_to_device(std::fs::File::open("/dev/null").unwrap(), "lo"),
            Err(Errno::NOTSOCK)
        );
    }

    #[test]
    fn queues_fill_and_listeners_have_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        server.peek(&mut [0; 1]).unwrap();
        assert_eq!(unread(&server), Ok(5));
        assert_eq!((unsent(&server), unread(&client)), (Ok(0), Ok(0)));
        client.set_nonblocking(true).unwrap();
        while client.write(&[0; 8192]).is_ok() {}
        assert!(unsent(&client).unwrap() > 0);
        assert_eq!((unsent(&listener), unread(&listener)), (Err(Errno::INVAL), Err(Errno::INVAL)));
    }
}
