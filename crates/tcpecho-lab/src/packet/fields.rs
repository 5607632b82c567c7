//! Every header field of a packet, by name and value (RFC 791, 8200, 9293, 7323, 2018, 792, 4443).
//!
//! Reads the bytes, not the parsed packet: a field that nobody uses is shown too. Missing bytes end the list.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Flags, Icmp, Packet, Transport, are_right, u16_at, u32_at};

/// The most bytes of a payload that are shown.
const PAYLOAD: usize = 120;

/// A header, or the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its name: `IPv4`, `TCP`, `TCP options`.
    pub name: &'static str,
    /// Its fields in their order, each with its value.
    pub fields: Vec<(&'static str, String)>,
}

/// Returns every header of a packet with every field, and the beginning of the payload.
#[must_use]
pub fn layers(packet: &Packet) -> Vec<Layer> {
    let bytes = packet.bytes();
    let is_ipv6 = packet.source.is_ipv6();
    let (ip, start) = if is_ipv6 { (ipv6(bytes), 40) } else { (ipv4(bytes), ipv4_length(bytes)) };
    let mut layers =
        vec![Layer { name: if is_ipv6 { "IPv6" } else { "IPv4" }, fields: ip.unwrap_or_default() }];
    let body = bytes.get(start..).unwrap_or_default();
    let sum = if are_right(bytes) { "right" } else { "wrong" };
    match &packet.transport {
        Transport::Tcp(_) => {
            layers.push(Layer { name: "TCP", fields: tcp(body, sum).unwrap_or_default() });
            let options = options(body);
            if !options.is_empty() {
                layers.push(Layer { name: "TCP options", fields: options });
            }
            let payload = packet.payload();
            if !payload.is_empty() {
                layers.push(Layer { name: "Payload", fields: shown(payload) });
            }
        }
        Transport::Icmp(icmp) => {
            let name = if icmp.ipv6 { "ICMPv6" } else { "ICMP" };
            layers.push(Layer { name, fields: message(icmp, body, sum) });
        }
        Transport::Other(_) => layers.push(Layer { name: "Payload", fields: shown(body) }),
    }
    layers
}

type Fields = Vec<(&'static str, String)>;

fn ipv4_length(bytes: &[u8]) -> usize {
    bytes.first().map_or(0, |first| usize::from(first & 15) * 4)
}

fn ipv4(bytes: &[u8]) -> Option<Fields> {
    let header: &[u8; 20] = bytes.first_chunk()?;
    let fragment = u16_at(header, 6)?;
    let bit = |bit: u16, name: &'static str| (fragment & bit != 0).then_some(name);
    let flags: Vec<&str> = [bit(0x4000, "don't fragment"), bit(0x2000, "more fragments")]
        .into_iter()
        .flatten()
        .collect();
    let address = |at: usize| Some(Ipv4Addr::from_bits(u32_at(header, at)?).to_string());
    let mut fields = vec![
        ("version", "4".into()),
        ("header length", format!("{} bytes", ipv4_length(bytes))),
        ("DSCP", (header[1] >> 2).to_string()),
        ("ECN", ecn(header[1])),
        ("total length", format!("{} bytes", u16_at(header, 2)?)),
        ("identification", format!("{:#06x}", u16_at(header, 4)?)),
        ("flags", if flags.is_empty() { "none".into() } else { flags.join(", ") }),
        ("fragment offset", (u32::from(fragment & 0x1fff) * 8).to_string()),
        ("time to live", header[8].to_string()),
        ("protocol", protocol(header[9])),
        ("header checksum", format!("{:#06x}", u16_at(header, 10)?)),
        ("source", address(12)?),
        ("destination", address(16)?),
    ];
    let options = bytes.get(20..ipv4_length(bytes)).unwrap_or_default();
    if !options.is_empty() {
        fields.push(("options", hex(options)));
    }
    Some(fields)
}

fn ipv6(bytes: &[u8]) -> Option<Fields> {
    let header: &[u8; 40] = bytes.first_chunk()?;
    let word = u32_at(header, 0)?;
    let class = (word >> 20) as u8;
    let address = |at: usize| {
        let octets: [u8; 16] = *header.get(at..)?.first_chunk()?;
        Some(Ipv6Addr::from(octets).to_string())
    };
    Some(vec![
        ("version", "6".into()),
        ("DSCP", (class >> 2).to_string()),
        ("ECN", ecn(class)),
        ("flow label", format!("{:#07x}", word & 0xf_ffff)),
        ("payload length", format!("{} bytes", u16_at(header, 4)?)),
        ("next header", protocol(header[6])),
        ("hop limit", header[7].to_string()),
        ("source", address(8)?),
        ("destination", address(24)?),
    ])
}

fn ecn(class: u8) -> String {
    match class & 3 {
        0 => "not ECN-capable",
        1 => "ECT(1)",
        2 => "ECT(0)",
        _ => "CE: congestion experienced",
    }
    .into()
}

fn protocol(number: u8) -> String {
    match number {
        1 => "1 (ICMP)".into(),
        6 => "6 (TCP)".into(),
        58 => "58 (ICMPv6)".into(),
        number => number.to_string(),
    }
}

fn tcp(segment: &[u8], sum: &str) -> Option<Fields> {
    let header: &[u8; 20] = segment.first_chunk()?;
    let flags = Flags(header[13]);
    Some(vec![
        ("source port", u16_at(header, 0)?.to_string()),
        ("destination port", u16_at(header, 2)?.to_string()),
        ("sequence number", u32_at(header, 4)?.to_string()),
        (
            "acknowledgment number",
            if flags.has(Flags::ACK) {
                u32_at(header, 8)?.to_string()
            } else {
                format!("{} (not valid without ACK)", u32_at(header, 8)?)
            },
        ),
        ("data offset", format!("{} bytes", (header[12] >> 4) * 4)),
        ("reserved bits", format!("{:#x}", header[12] & 15)),
        ("control bits", flags.to_string()),
        ("window", format!("{}, not scaled", u16_at(header, 14)?)),
        ("checksum", format!("{:#06x}, {sum}", u16_at(header, 16)?)),
        ("urgent pointer", u16_at(header, 18)?.to_string()),
    ])
}

/// Kind, length, value. An invalid option ends the list.
fn options(segment: &[u8]) -> Fields {
    let length = segment.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
    let mut rest = segment.get(20..length).unwrap_or_default();
    let mut fields = Vec::new();
    while let Some((&kind, after)) = rest.split_first() {
        match kind {
            0 => {
                fields.push(("end of list", String::new()));
                break;
            }
            1 => {
                fields.push(("no operation", String::new()));
                rest = after;
            }
            _ => {
                let length = after.first().map_or(0, |length| usize::from(*length));
                let Some(value) = rest.get(2..length) else {
                    fields.push(("invalid", hex(rest)));
                    break;
                };
                fields.push(option(kind, value));
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
    fields
}

fn option(kind: u8, value: &[u8]) -> (&'static str, String) {
    let known = match (kind, value.len()) {
        (2, 2) => u16_at(value, 0).map(|mss| ("maximum segment size", format!("{mss} bytes"))),
        (3, 1) => value.first().map(|shift| ("window scale", format!("shift by {shift}"))),
        (4, 0) => Some(("SACK permitted", "yes".into())),
        (5, _) => {
            let blocks = value.chunks_exact(8);
            let blocks = blocks
                .filter_map(|edges| Some(format!("{}-{}", u32_at(edges, 0)?, u32_at(edges, 4)?)));
            Some(("SACK", blocks.collect::<Vec<_>>().join(", ")))
        }
        (8, 8) => u32_at(value, 0)
            .zip(u32_at(value, 4))
            .map(|(value, echo)| ("timestamps", format!("value {value}, echo reply {echo}"))),
        (34, _) => Some(("TCP Fast Open", hex(value))),
        _ => None,
    };
    known.unwrap_or_else(|| ("other option", format!("kind {kind}: {}", hex(value))))
}

fn message(icmp: &Icmp, body: &[u8], sum: &str) -> Fields {
    let mut fields = vec![
        ("type", icmp.kind.to_string()),
        ("code", format!("{} ({})", icmp.code, icmp.words())),
        ("checksum", format!("{:#06x}, {sum}", u16_at(body, 2).unwrap_or_default())),
        ("rest of header", format!("{:#010x}", icmp.value)),
    ];
    if let Some((source, destination, seq)) = icmp.about {
        fields.push(("quoted source port", source.to_string()));
        fields.push(("quoted destination port", destination.to_string()));
        fields.push(("quoted sequence number", seq.to_string()));
    }
    fields
}

fn shown(payload: &[u8]) -> Fields {
    let begin = payload.get(..PAYLOAD).unwrap_or(payload);
    let dots = if begin.len() < payload.len() { " …" } else { "" };
    vec![
        ("length", format!("{} bytes", payload.len())),
        ("text", format!("{}{dots}", begin.escape_ascii())),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
