//! The Internet checksum (RFC 1071) of IP headers, TCP segments and ICMP messages.

use std::net::IpAddr;

use super::Layout;

/// Whether all checksums of the packet are correct; false for bytes that are not a packet.
#[must_use]
pub fn are_right(bytes: &[u8]) -> bool {
    let Ok(layout) = Layout::of(bytes) else { return false };
    let header_right = layout.source.is_ipv6() || sum(0, &bytes[..layout.body.start]) == 0xffff;
    header_right && (field(&layout).is_none() || body_sum(&layout, bytes) == 0xffff)
}

/// Corrects all checksums of the packet. Bytes that are not a packet stay as they are.
pub fn repair(bytes: &mut [u8]) {
    let Ok(layout) = Layout::of(bytes) else { return };
    if layout.source.is_ipv4() {
        bytes[10..12].fill(0);
        let right = !sum(0, &bytes[..layout.body.start]);
        bytes[10..12].copy_from_slice(&right.to_be_bytes());
    }
    if let Some(at) = field(&layout) {
        bytes[at..at + 2].fill(0);
        let right = !body_sum(&layout, bytes);
        bytes[at..at + 2].copy_from_slice(&right.to_be_bytes());
    }
}

/// The offset of the transport's checksum, for the transports that the lab knows.
fn field(layout: &Layout) -> Option<usize> {
    let at = match layout.protocol {
        _ if layout.fragment => return None,
        6 => 16,
        1 | 58 => 2,
        _ => return None,
    };
    (at + 2 <= layout.body.len()).then_some(layout.body.start + at)
}

fn body_sum(layout: &Layout, bytes: &[u8]) -> u16 {
    let body = &bytes[layout.body.clone()];
    let start = if layout.protocol == 1 { 0 } else { pseudo_header(layout) };
    sum(start, body)
}

fn pseudo_header(layout: &Layout) -> u32 {
    let addresses = [layout.source, layout.destination].map(|address| match address {
        IpAddr::V4(ip) => u32::from(sum(0, &ip.octets())),
        IpAddr::V6(ip) => u32::from(sum(0, &ip.octets())),
    });
    addresses.iter().sum::<u32>() + u32::from(layout.protocol) + layout.body.len() as u32
}

/// The ones' complement sum of 16-bit words; an odd last byte is padded with zero.
fn sum(start: u32, bytes: &[u8]) -> u16 {
    let mut total = u64::from(start);
    let words = bytes.chunks_exact(2);
    if let [last] = words.remainder() {
        total += u64::from(*last) << 8;
    }
    total += words.map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum::<u64>();
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}
