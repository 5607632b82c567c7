//! Reads the kernel's figures on a TCP connection: `TCP_INFO` (tcp(7), `struct tcp_info` in linux/tcp.h).
//!
//! The structure grows with the kernel, so it is read by the length that the kernel returned, never as
//! a `struct`. Nothing here allocates, locks or keeps state, so that a forked child may call it.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::{Errno, Result};

use crate::errno::last_errno;
pub use crate::tcp_state::TcpState;

/// A field's type: how it is taken out of the kernel's bytes at an offset.
trait Field: Sized {
    fn read(bytes: &[u8], offset: usize) -> Self;
}

macro_rules! fields_of {
    ($($int:ty)*) => {$(
        impl Field for Option<$int> {
            fn read(bytes: &[u8], offset: usize) -> Self {
                Some(<$int>::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
            }
        }
        impl Field for $int {
            fn read(bytes: &[u8], offset: usize) -> Self {
                Option::<$int>::read(bytes, offset).unwrap_or_default()
            }
        }
    )*};
}

fields_of! { u8 u32 u64 }

macro_rules! tcp_info {
    ($($(#[doc = $doc:literal])* $name:ident: $kind:ty, $offset:literal;)*) => {
        /// The fields of `TCP_INFO`.
        ///
        /// A plain field has been in every Linux since 2.6 and is 0 should it be missing; an
        /// `Option` is `None` where the running kernel does not have the field yet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct TcpInfo {
            /// The state of the connection. A socket that an RST ended is `Close`.
            pub state: TcpState,
            $($(#[doc = $doc])* pub $name: $kind,)*
        }

        impl TcpInfo {
            /// Takes the fields out of what the kernel wrote; any length will do.
            fn parse(bytes: &[u8]) -> Self {
                TcpInfo {
                    state: TcpState::from_number(u8::read(bytes, 0)),
                    $($name: Field::read(bytes, $offset),)*
                }
            }
        }
    };
}

tcp_info! {
    /// Retransmissions of the segment at the head of the queue since the last progress.
    retransmits: u8, 2;
    /// Zero-window or keepalive probes without an answer.
    probes: u8, 3;
    /// How often the retransmission timer has doubled.
    backoff: u8, 4;
    /// Retransmission timeout in force, in microseconds.
    rto_us: u32, 8;
    /// Delayed-ACK timeout, in microseconds.
    ato_us: u32, 12;
    /// Largest segment we send, in bytes.
    snd_mss: u32, 16;
    /// Largest segment we believe the peer sends, in bytes.
    rcv_mss: u32, 20;
    /// Segments sent and not acknowledged. On a listener: connections waiting in the accept queue.
    unacked: u32, 24;
    /// Segments acknowledged out of order. On a listener: the backlog in force.
    sacked: u32, 28;
    /// Segments thought lost.
    lost: u32, 32;
    /// Retransmitted segments that are still in flight.
    retrans: u32, 36;
    /// Milliseconds since we last sent data.
    last_data_sent_ms: u32, 44;
    /// Milliseconds since data was last received.
    last_data_recv_ms: u32, 52;
    /// Milliseconds since an acknowledgement was last received.
    last_ack_recv_ms: u32, 56;
    /// Path MTU, in bytes.
    pmtu: u32, 60;
    /// Smoothed round-trip time, in microseconds.
    rtt_us: u32, 68;
    /// Mean deviation of the round-trip time, in microseconds.
    rttvar_us: u32, 72;
    /// Slow-start threshold, in segments.
    snd_ssthresh: u32, 76;
    /// Congestion window, in segments.
    snd_cwnd: u32, 80;
    /// Segments retransmitted in the life of the connection.
    total_retrans: u32, 100;
    /// Payload bytes that the peer acknowledged, and our SYN and FIN.
    bytes_acked: Option<u64>, 120;
    /// Payload bytes received in order, and the peer's FIN.
    bytes_received: Option<u64>, 128;
    /// Segments sent, retransmissions and pure acknowledgements included.
    segs_out: Option<u32>, 136;
    /// Segments received.
    segs_in: Option<u32>, 140;
    /// Bytes in the send queue that were never sent.
    notsent_bytes: Option<u32>, 144;
    /// Smallest round-trip time seen lately, in microseconds; `u32::MAX` before the first sample.
    min_rtt_us: Option<u32>, 148;
    /// Delivery rate, in bytes a second.
    delivery_rate: Option<u64>, 160;
    /// Time with data to send, in microseconds.
    busy_us: Option<u64>, 168;
    /// Time that the peer's receive window held us back, in microseconds.
    rwnd_limited_us: Option<u64>, 176;
    /// Time that our own send buffer held us back, in microseconds.
    sndbuf_limited_us: Option<u64>, 184;
    /// Segments that the peer has acknowledged, the SYN being one.
    delivered: Option<u32>, 192;
    /// Payload bytes sent, retransmissions included.
    bytes_sent: Option<u64>, 200;
    /// Payload bytes retransmitted.
    bytes_retrans: Option<u64>, 208;
    /// Segments received out of order.
    rcv_ooopack: Option<u32>, 224;
    /// The window that the peer offers, in bytes.
    snd_wnd: Option<u32>, 228;
    /// The window that we offer, in bytes.
    rcv_wnd: Option<u32>, 232;
}

/// Reads `TCP_INFO` (tcp(7)) of a TCP socket in any state; async-signal-safe, allocates nothing.
///
/// It does not touch the socket: a pending error stays pending.
///
/// # Errors
///
/// `ENOTSOCK`, `EOPNOTSUPP` or `ENOPROTOOPT` for a descriptor that is not a TCP socket.
pub fn tcp_info(fd: impl AsFd) -> Result<TcpInfo> {
    // Linux 6.18 fills 280 bytes; what a later one would add is cut off by the kernel.
    let mut buffer = [0_u8; 512];
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: getsockopt(2) writes at most `length` bytes to the buffer and the count to `length`;
    // both live through the call, and the descriptor is borrowed for it.
    let result = unsafe {
        libc::getsockopt(
            fd.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(last_errno());
    }
    Ok(TcpInfo::parse(buffer.get(..length as usize).unwrap_or(&buffer)))
}

/// The accept queue of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenQueue {
    /// Connections waiting for accept(2).
    pub length: u32,
    /// The backlog in force: the smaller of listen(2)'s argument and `net.core.somaxconn`. The queue
    /// takes one connection more.
    pub backlog: u32,
}

/// Reads the accept queue of a listening socket; async-signal-safe, allocates nothing.
///
/// # Errors
///
/// Those of [`tcp_info()`], and `EINVAL` for a socket that is not listening.
pub fn listen_queue(fd: impl AsFd) -> Result<ListenQueue> {
    match tcp_info(fd)? {
        info if info.state == TcpState::Listen => {
            Ok(ListenQueue { length: info.unacked, backlog: info.sacked })
        }
        _ => Err(Errno::INVAL),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_connection_tells_its_state_and_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.write_all(&[7; 1000]).unwrap();
        server.peek(&mut [0; 1]).unwrap();
        let (client, server) = (tcp_info(&client).unwrap(), tcp_info(&server).unwrap());
        assert_eq!(client.state, TcpState::Established);
        assert_eq!(server.bytes_received, Some(1000));
        assert!(client.bytes_acked >= Some(1), "the SYN counts");
        assert!(client.snd_mss > 500 && client.pmtu > 500 && client.rto_us >= 1000, "{client:?}");
    }

    #[test]
    fn a_listener_tells_its_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 3).unwrap();
        assert_eq!(listen_queue(&listener), Ok(ListenQueue { length: 0, backlog: 3 }));
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // connect(2) returns before the other side has seen the final ACK.
        let end = Instant::now() + Duration::from_secs(60);
        while listen_queue(&listener).unwrap().length == 0 && Instant::now() < end {
            std::thread::yield_now();
        }
        assert_eq!(listen_queue(&listener).unwrap().length, 1);
        assert_eq!(listen_queue(&client), Err(Errno::INVAL));
    }

    #[test]
    fn what_is_not_tcp_is_refused() {
        assert!(tcp_info(UdpSocket::bind("127.0.0.1:0").unwrap()).is_err());
        assert_eq!(tcp_info(std::fs::File::open("/dev/null").unwrap()), Err(Errno::NOTSOCK));
    }

    #[test]
    fn a_short_answer_leaves_the_later_fields_out() {
        let bytes = [1_u8; 512];
        for length in 0..bytes.len() {
            let info = TcpInfo::parse(&bytes[..length]);
            assert_eq!(info.total_retrans != 0, length >= 104);
            assert_eq!(info.bytes_acked.is_some(), length >= 128);
            assert_eq!(info.rcv_wnd.is_some(), length >= 236);
        }
        assert_eq!(TcpInfo::parse(&[]).state, TcpState::Other(0));
    }
}
