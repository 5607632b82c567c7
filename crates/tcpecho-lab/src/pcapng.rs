//! The wire's packets as a capture file for Wireshark and tcpdump (draft-ietf-opsawg-pcapng).
//!
//! One interface of raw IP (tcpdump rejects two), times in nanoseconds, the direction in each
//! packet's flags, and what the wire did with a packet as its comment. Comments number packets as
//! Wireshark numbers frames: by their place in the file, from 1.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use crate::side::Side;
use crate::timeline::{PacketMoment, Timeline, What};

const LINKTYPE_RAW: u16 = 101;
const OPT_COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

/// Writes all packets of the timeline: each when the wire first saw it, and again if it was
/// released later.
///
/// # Errors
/// Those of `output`.
pub fn write(timeline: &Timeline, mut output: impl Write) -> io::Result<()> {
    let mut file = section_header();
    file.extend(interface());
    let began = timeline.began().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // The frame of the first sight of each packet.
    let mut frames: BTreeMap<u64, usize> = BTreeMap::new();
    let mut frame = 0;
    for moment in timeline.since(0) {
        if let What::Packet(packet) = &moment.what {
            frame += 1;
            let first = *frames.entry(packet.number).or_insert(frame);
            file.extend(enhanced_packet(began + moment.at, packet, frame, first));
        }
    }
    output.write_all(&file)?;
    output.flush()
}

fn section_header() -> Vec<u8> {
    let mut body = 0x1A2B_3C4D_u32.to_ne_bytes().to_vec();
    body.extend(1_u16.to_ne_bytes());
    body.extend(0_u16.to_ne_bytes());
    body.extend(u64::MAX.to_ne_bytes());
    block(0x0A0D_0D0A, &body)
}

fn interface() -> Vec<u8> {
    let mut body = LINKTYPE_RAW.to_ne_bytes().to_vec();
    body.extend(0_u16.to_ne_bytes());
    body.extend(0_u32.to_ne_bytes());
    option(&mut body, IF_NAME, b"wire");
    option(&mut body, IF_TSRESOL, &[9]);
    option(&mut body, 0, &[]);
    block(1, &body)
}

fn enhanced_packet(at: Duration, moment: &PacketMoment, frame: usize, first: usize) -> Vec<u8> {
    let nanoseconds = at.as_nanos() as u64;
    let bytes = moment.packet.bytes();
    let length = bytes.len() as u32;
    let mut body = Vec::with_capacity(bytes.len() + 64);
    for word in [0, (nanoseconds >> 32) as u32, nanoseconds as u32, length, length] {
        body.extend(word.to_ne_bytes());
    }
    padded(&mut body, bytes);
    // Outbound is what the client sends: the capture is taken on its side.
    let direction: u32 = if moment.from == Side::Client { 2 } else { 1 };
    option(&mut body, EPB_FLAGS, &direction.to_ne_bytes());
    if moment.verdict.is_touched() {
        option(&mut body, OPT_COMMENT, comment(moment, frame, first).as_bytes());
    }
    option(&mut body, 0, &[]);
    block(6, &body)
}

/// What the wire did with the packet of a frame, and in which frame it was first seen.
fn comment(moment: &PacketMoment, frame: usize, first: usize) -> String {
    let note = if moment.note.is_empty() { String::new() } else { format!(": {}", moment.note) };
    let again = if first < frame { format!(" (frame {first} again)") } else { String::new() };
    format!("frame {frame}, from {}, {}{again}{note}", moment.from, moment.verdict)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_ne_bytes();
    [&kind.to_ne_bytes()[..], &length, body, &length].concat()
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = value.len().min(usize::from(u16::MAX)) as u16;
    body.extend(code.to_ne_bytes());
    body.extend(length.to_ne_bytes());
    padded(body, &value[..usize::from(length)]);
}

fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}
