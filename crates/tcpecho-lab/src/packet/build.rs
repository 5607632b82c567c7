//! Packets that the wire makes itself: segments, RSTs that the receiver accepts, and a router's
//! ICMP errors.

use std::net::{IpAddr, SocketAddr};

use super::{Flags, IcmpError, Packet, Tcp, checksum};

/// A TCP segment to make.
#[derive(Debug, Clone, Default)]
pub struct Segment {
    /// Its sequence number.
    pub seq: u32,
    /// Its acknowledgment number.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window, not scaled.
    pub window: u16,
    /// Payload.
    pub payload: Vec<u8>,
    /// Options as they stand in the header (RFC 9293 3.1), without the padding; at most 40 bytes are sent.
    pub options: Vec<u8>,
}

/// Makes a packet with a TCP segment and with correct checksums. Both ends must
/// have the same family.
#[must_use]
pub fn segment(source: SocketAddr, destination: SocketAddr, segment: &Segment) -> Vec<u8> {
    let mut options = segment.options.get(..40).unwrap_or(&segment.options).to_vec();
    // Zero ends the list of options.
    options.resize(options.len().next_multiple_of(4), 0);
    let mut body = Vec::with_capacity(60 + segment.payload.len());
    body.extend(source.port().to_be_bytes());
    body.extend(destination.port().to_be_bytes());
    body.extend(segment.seq.to_be_bytes());
    body.extend(segment.ack.to_be_bytes());
    body.extend([((20 + options.len()) as u8) << 2, segment.flags.0]);
    body.extend(segment.window.to_be_bytes());
    body.extend([0; 4]);
    body.extend(options);
    body.extend(&segment.payload);
    packet(source.ip(), destination.ip(), 6, &body)
}

/// Makes the RST with which the sender of `seen` seems to reset the connection, acceptable to a
/// receiver that has got `seen`: its sequence number must be exactly the next one expected (RFC
/// 5961 3.2).
#[must_use]
pub fn reset_receiver(seen: &Packet) -> Option<Vec<u8>> {
    let ((source, destination), tcp) = (seen.ends()?, seen.tcp()?);
    Some(reset(source, destination, tcp.end(), tcp.ack, tcp.flags.has(Flags::ACK)))
}

/// Makes the RST with which the receiver of `seen` seems to reset the connection, acceptable in the
/// sender's state when it sent `seen`.
#[must_use]
pub fn reset_sender(seen: &Packet) -> Option<Vec<u8>> {
    let ((source, destination), tcp) = (seen.ends()?, seen.tcp()?);
    let seq = if tcp.flags.has(Flags::ACK) { tcp.ack } else { 0 };
    Some(reset(destination, source, seq, tcp.end(), true))
}

fn reset(
    source: SocketAddr,
    destination: SocketAddr,
    seq: u32,
    ack: u32,
    with_ack: bool,
) -> Vec<u8> {
    let flags = if with_ack { Flags::RST | Flags::ACK } else { Flags::RST };
    let ack = if with_ack { ack } else { 0 };
    segment(source, destination, &Segment { seq, ack, flags, ..Segment::default() })
}

/// Makes a router's ICMP error about `offender`, which it quotes; `None` if the family has no such
/// error.
#[must_use]
pub fn icmp_error(router: IpAddr, offender: &Packet, error: IcmpError) -> Option<Vec<u8>> {
    let ipv6 = offender.source.is_ipv6();
    let (kind, code) = error.numbers(ipv6)?;
    // RFC 1812 4.3.2.3 and RFC 4443 2.4: as many bytes as keep the error within the minimum MTU.
    let (protocol, room) = if ipv6 { (58, 1280 - 48) } else { (1, 576 - 28) };
    let quote = offender.bytes();
    let mut body = vec![kind, code, 0, 0];
    body.extend(error.value().to_be_bytes());
    body.extend(&quote[..quote.len().min(room)]);
    Some(packet(router, offender.source, protocol, &body))
}

fn packet(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40 + body.len());
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes.extend([0x45, 0]);
            bytes.extend((20 + body.len() as u16).to_be_bytes());
            bytes.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (source, destination) => {
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend((body.len() as u16).to_be_bytes());
            bytes.extend([protocol, 64]);
            for ip in [source, destination] {
                bytes.extend(match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                });
            }
        }
    }
    bytes.extend(body);
    checksum::repair(&mut bytes);
    bytes
}

impl Tcp {
    /// Whether the segment only acknowledges: no payload, no SYN, FIN or RST.
    #[must_use]
    pub fn is_bare_ack(&self) -> bool {
        self.payload == 0 && Flags(self.flags.0 & !Flags::PSH.0) == Flags::ACK
    }
}
