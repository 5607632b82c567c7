//! The table of modes: their names, what they send, and what is better in their figures.

use std::io;

use crate::loads::{Sample, Visit, bulk, connects, idle, pipelined, rounds, stall, trickle};

/// What is better in a column, and so which way its ratio is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
    Neither,
}

pub(crate) type Column = (&'static str, Better);

/// A mode, and how many connections a server must be able to serve at once for it.
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) connections: usize,
    pub(crate) columns: &'static [Column],
    run: fn(&Visit) -> io::Result<Sample>,
}

const ROUNDS: &[Column] = &[
    ("messages/s", Better::More),
    ("p50 µs", Better::Less),
    ("p99 µs", Better::Less),
    ("server ns/message", Better::Less),
];
const PIPELINED: &[Column] = &[ROUNDS[0], ROUNDS[3]];
const BULK: &[Column] = &[("MB/s", Better::More), ("server µs/MB", Better::Less)];
const CONNECTS: &[Column] = &[
    ("connections/s", Better::More),
    ("p50 µs", Better::Less),
    ("p99 µs", Better::Less),
    ("server ns/connection", Better::Less),
];
const TRICKLE: &[Column] =
    &[("p99 µs", Better::Less), ("messages/s", Better::More), ("bulk MB/s", Better::More)];
const STALL: &[Column] = &[
    ("messages/s", Better::More),
    ("p99 µs", Better::Less),
    ("stalled bytes", Better::Neither),
    ("RSS bytes", Better::Neither),
];
const IDLE: &[Column] = &[
    ("PSS bytes/connection", Better::Neither),
    ("PSS bytes", Better::Neither),
    ("connections", Better::Neither),
];

#[rustfmt::skip]
pub(crate) static MODES: &[Mode] = &[
    Mode { name: "rr1", connections: 1, columns: ROUNDS, run: |v| rounds(v, 1, 64),
           summary: "1 connection, 64 B, one message under way" },
    Mode { name: "rr50", connections: 50, columns: ROUNDS, run: |v| rounds(v, 50, 64),
           summary: "50 connections, 64 B, one message under way each" },
    Mode { name: "rr1000", connections: 1000, columns: ROUNDS, run: |v| rounds(v, 1000, 64),
           summary: "1000 connections, 64 B, one message under way each" },
    Mode { name: "pipe16", connections: 50, columns: PIPELINED, run: |v| pipelined(v, 50, 16),
           summary: "50 connections, 64 B, 16 messages under way each" },
    Mode { name: "rr16k", connections: 50, columns: ROUNDS, run: |v| rounds(v, 50, 16 * 1024),
           summary: "50 connections, 16 KiB, one message under way each" },
    Mode { name: "stream1", connections: 1, columns: BULK, run: |v| bulk(v, 1),
           summary: "1 connection, as much as it takes in both directions at once" },
    Mode { name: "stream8", connections: 8, columns: BULK, run: |v| bulk(v, 8),
           summary: "8 connections, as much as they take in both directions at once" },
    Mode { name: "crr50", connections: 50, columns: CONNECTS, run: |v| connects(v, 50),
           summary: "50 at a time: connect, one message of 64 B, its answer, reset" },
    Mode { name: "trickle", connections: 51, columns: TRICKLE, run: |v| trickle(v, 50),
           summary: "50 connections as in rr50, beside one as in stream1" },
    Mode { name: "idle10k", connections: 2, columns: IDLE, run: |v| idle(v, 10_000),
           summary: "memory for each connection that was served once and is now silent" },
    Mode { name: "stall", connections: 51, columns: STALL, run: |v| stall(v, 50),
           summary: "50 connections as in rr50, beside one that writes and does not read; \
                     it does in the end, and is checked" },
];

impl Mode {
    pub(crate) fn visit(&self, visit: &Visit) -> Sample {
        (self.run)(visit).unwrap_or_else(|error| Sample {
            figures: vec![f64::NAN; self.columns.len()],
            faults: vec![error.to_string()],
        })
    }
}
