//! A TCP segment's header (RFC 9293 3.1) and the options of a SYN.

use super::{Flags, u16_at, u32_at};

/// What a TCP segment says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tcp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The sequence number of its first byte.
    pub seq: u32,
    /// The sequence number expected next; valid with ACK only.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// The receive window as the header has it, not scaled.
    pub window: u16,
    /// Length of the payload, in bytes.
    pub payload: usize,
    /// The largest segment that the sender accepts, in bytes (an option of a SYN).
    pub mss: Option<u16>,
    /// The window scale (an option of a SYN).
    pub window_scale: Option<u8>,
    /// Whether its sender accepts SACK blocks (an option of a SYN).
    pub sack_permitted: bool,
    /// The urgent pointer; valid with URG only.
    pub urgent_pointer: u16,
    /// The SACK blocks, as `(left, right)` edges.
    pub sack: Vec<(u32, u32)>,
    /// Value and echo of the timestamp option.
    pub timestamps: Option<(u32, u32)>,
    /// The cookie of TCP Fast Open, empty where a SYN asks for one (RFC 7413 4.1.1).
    pub fast_open: Option<Vec<u8>>,
    /// The kinds of its options, without padding, in their order.
    pub option_kinds: Vec<u8>,
}

impl Tcp {
    pub(super) fn parse(segment: &[u8]) -> Result<Self, &'static str> {
        let header: &[u8; 20] = segment.first_chunk().ok_or("TCP header is truncated")?;
        let length = usize::from(header[12] >> 4) * 4;
        let options = segment.get(20..length).ok_or("TCP header length is wrong")?;
        let number = |at| u32_at(header, at).unwrap_or_default();
        let port = |at| u16_at(header, at).unwrap_or_default();
        let mut tcp = Tcp {
            source_port: port(0),
            destination_port: port(2),
            seq: number(4),
            ack: number(8),
            flags: Flags(header[13]),
            window: port(14),
            payload: segment.len() - length,
            urgent_pointer: port(18),
            ..Tcp::default()
        };
        tcp.read_options(options);
        Ok(tcp)
    }

    /// Kind, length, value; an invalid option ends the parsing, as in every kernel.
    fn read_options(&mut self, mut options: &[u8]) {
        while let Some((&kind, rest)) = options.split_first() {
            match kind {
                0 => return,
                1 => options = rest,
                _ => {
                    let length = rest.first().map_or(0, |length| usize::from(*length));
                    let Some(value) = options.get(2..length) else { return };
                    self.read_option(kind, value);
                    options = &options[length..];
                }
            }
        }
    }

    fn read_option(&mut self, kind: u8, value: &[u8]) {
        self.option_kinds.push(kind);
        match (kind, value.len()) {
            (2, 2) => self.mss = u16_at(value, 0),
            (3, 1) => self.window_scale = value.first().copied(),
            (4, 0) => self.sack_permitted = true,
            (5, _) => {
                let edges = value.chunks_exact(8);
                self.sack = edges.filter_map(|e| Some((u32_at(e, 0)?, u32_at(e, 4)?))).collect();
            }
            (8, 8) => self.timestamps = u32_at(value, 0).zip(u32_at(value, 4)),
            (34, _) => self.fast_open = Some(value.to_vec()),
            _ => {}
        }
    }

    /// The kind of the segment in one word: `SYN`, `SYN-ACK`, `RST`, `FIN`, `data` or `ACK`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let has = |flag| self.flags.has(flag);
        match () {
            () if has(Flags::RST) => "RST",
            () if has(Flags::SYN | Flags::ACK) => "SYN-ACK",
            () if has(Flags::SYN) => "SYN",
            () if has(Flags::FIN) => "FIN",
            () if self.payload > 0 => "data",
            () => "ACK",
        }
    }

    /// The sequence number after its last byte; SYN and FIN count one each.
    #[must_use]
    pub fn end(&self) -> u32 {
        let flags = u32::from(self.flags.has(Flags::SYN)) + u32::from(self.flags.has(Flags::FIN));
        self.seq.wrapping_add(self.payload as u32).wrapping_add(flags)
    }
}
