//! Packet loss for one socket: a filter that drops part of what it receives (socket(7), `SO_ATTACH_FILTER`).
//!
//! The kernel runs the filter of a TCP socket on each segment before TCP sees it, so TCP treats a dropped segment as lost.
//! Connections inherit the filter of their listener. It needs no privilege.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use libc::{BPF_ABS, BPF_B, BPF_JMP, BPF_JSET, BPF_JUMP, BPF_K, BPF_LD, BPF_RET, BPF_STMT, BPF_W};

/// Where the flags are in a TCP header (RFC 9293 3.1), and the two that are let through.
const FLAGS: u32 = 13;
const SYN: u32 = 2;
const RST: u32 = 4;
/// The place of a random number among what a filter can load (linux/filter.h).
const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;

/// Drops the fraction `part`, from 0 to 1, of the segments that the socket receives from now on, at random. SYN and RST pass: the
/// kernel waits a second before it retransmits a SYN, and never retransmits an RST.
///
/// # Errors
/// setsockopt(2): `ENOTSOCK`, `ENOMEM`, `EPERM` where filters are locked.
pub fn drop_received(socket: impl AsFd, part: f64) -> io::Result<()> {
    let below = (part.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
    // SAFETY: these build a value from numbers.
    let mut program = unsafe {
        [
            BPF_STMT((BPF_LD | BPF_B | BPF_ABS) as u16, FLAGS),
            BPF_JUMP((BPF_JMP | BPF_JSET | BPF_K) as u16, SYN | RST, 2, 0),
            BPF_STMT((BPF_LD | BPF_W | BPF_ABS) as u16, RANDOM),
            BPF_JUMP((BPF_JMP | libc::BPF_JGE | BPF_K) as u16, below, 0, 1),
            BPF_STMT((BPF_RET | BPF_K) as u16, u32::MAX),
            BPF_STMT((BPF_RET | BPF_K) as u16, 0),
        ]
    };
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let size = size_of_val(&filter) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the option takes a sock_fprog, whose instructions the kernel copies before the call returns.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    use super::*;
    use tcpecho_os::tcp_info::tcp_info;

    fn pair(part: f64) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        drop_received(&listener, part).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn nothing_passes_a_filter_that_drops_all_but_the_handshake() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        drop_received(&server, 1.0).unwrap();
        (&client).write_all(b"lost").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let error = server.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_is_lost_is_sent_again_and_counted() {
        let (mut client, mut server) = pair(0.05);
        for n in 0..1000_u32 {
            // A segment of its own, since the one before has been received.
            let sent = [n as u8; 500];
            client.write_all(&sent).unwrap();
            let mut received = [0; 500];
            server.read_exact(&mut received).unwrap();
            assert_eq!(received, sent);
            if tcp_info(&client).unwrap().total_retrans > 0 {
                return;
            }
        }
        panic!("none of a thousand segments was lost");
    }
}
