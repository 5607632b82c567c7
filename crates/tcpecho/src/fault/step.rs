//! The steps of a script: the table of their names, and how each is written.

use std::fmt;

use super::{
    cursor::{Cursor, Read, expected},
    value::{Delay, LONGEST_REPEAT, MOST_BYTES, Payload, write_size},
};
use crate::duration::LONGEST;

/// One step of a [`Script`](crate::Script). The page docs/faults.md has the exact meaning of each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// `echo N`, `echo all`: sends back the next bytes; `None` means all until the peer's FIN.
    Echo(Option<u64>),
    /// `discard N`: receives bytes and sends nothing back.
    Discard(u64),
    /// `corrupt N`: sends back the next bytes with one bit changed. Its position is drawn from the seed.
    Corrupt(u64),
    /// `drop N`: leaves the next bytes out of the echo.
    Drop(u64),
    /// `repeat N`: sends back the next bytes, then the same bytes again.
    Repeat(u64),
    /// `pause D`: reads and sends nothing for this time.
    Pause(Delay),
    /// `send "TEXT"`, `send 0xHEX`: sends these bytes.
    Send(Payload),
    /// `expect "TEXT"`, `expect 0xHEX`: receives these bytes; sends RST if others come.
    Expect(Payload),
    /// `rate N/s`: from here on, sends at most so many bytes per second.
    Rate(u64),
    /// `chunk N every D`: from here on, sends pieces of at most N bytes, and waits before each.
    Chunk(u64, Delay),
    /// `fin`: sends FIN and goes on receiving (half-close).
    Fin,
    /// `wait-fin`: receives and discards until the peer's FIN.
    WaitFin,
    /// `stop-reading`: never reads again, so that the receive window closes.
    StopReading,
    /// `close`: closes the connection with FIN.
    Close,
    /// `reset`: closes the connection with RST.
    Reset,
    /// `close-unread`: waits for bytes and closes without reading them, which sends RST.
    CloseUnread,
}

/// A row of the table of steps.
#[derive(Debug)]
pub struct StepRow {
    /// Its first word.
    pub name: &'static str,
    /// How it is written, such as `pause D`.
    pub syntax: &'static str,
    /// What it does, as sentences.
    pub meaning: &'static str,
    read: fn(&mut Cursor<'_>) -> Read<Step>,
}

/// All steps: those that read, then those that write, those that time, and those that end.
#[rustfmt::skip]
pub static STEPS: &[StepRow] = &[
    StepRow {
        name: "echo", syntax: "echo N|all",
        meaning: "Sends back the next N bytes, or all bytes until the peer's FIN.",
        read: |cursor| {
            let mut ahead = cursor.clone();
            if ahead.word().1 == "all" {
                *cursor = ahead;
                return Ok(Step::Echo(None));
            }
            Ok(Step::Echo(Some(cursor.size()?)))
        },
    },
    StepRow {
        name: "discard", syntax: "discard N",
        meaning: "Receives the next N bytes and sends nothing back.",
        read: |cursor| Ok(Step::Discard(cursor.size()?)),
    },
    StepRow {
        name: "corrupt", syntax: "corrupt N",
        meaning: "Sends back the next N bytes with one bit changed. The seed decides which one, and the log names it. If FIN comes before that byte, none is changed.",
        read: |cursor| Ok(Step::Corrupt(cursor.size()?)),
    },
    StepRow {
        name: "drop", syntax: "drop N",
        meaning: "Leaves the next N bytes out of the echo. The same as `discard N`, for a script that otherwise echoes.",
        read: |cursor| Ok(Step::Drop(cursor.size()?)),
    },
    StepRow {
        name: "repeat", syntax: "repeat N",
        meaning: "Sends back the next N bytes, then the same bytes again. N is at most 64KiB.",
        read: |cursor| Ok(Step::Repeat(cursor.size()?)),
    },
    StepRow {
        name: "expect", syntax: "expect \"TEXT\"|0xHEX",
        meaning: "Receives exactly these bytes. If another byte or FIN comes, sends RST, and the log says `unexpected`.",
        read: |cursor| Ok(Step::Expect(cursor.payload()?)),
    },
    StepRow {
        name: "wait-fin", syntax: "wait-fin",
        meaning: "Receives and discards everything until the peer's FIN.",
        read: |_| Ok(Step::WaitFin),
    },
    StepRow {
        name: "stop-reading", syntax: "stop-reading",
        meaning: "Never reads again and stays connected: the receive window closes (zero window). A FIN is not noticed \
                  either. Ends with the connection.",
        read: |_| Ok(Step::StopReading),
    },
    StepRow {
        name: "send", syntax: "send \"TEXT\"|0xHEX",
        meaning: "Sends these bytes, at most 1024. TEXT has the escapes `\\n`, `\\r`, `\\t`, `\\0`, `\\\"`, `\\\\` and `\\xHH`.",
        read: |cursor| Ok(Step::Send(cursor.payload()?)),
    },
    StepRow {
        name: "fin", syntax: "fin",
        meaning: "Sends FIN after everything sent before, and goes on receiving (half-close). No step that sends may follow.",
        read: |_| Ok(Step::Fin),
    },
    StepRow {
        name: "pause", syntax: "pause D[±D]",
        meaning: "Reads and sends nothing for this time. With ±, the time is drawn from the seed.",
        read: |cursor| Ok(Step::Pause(cursor.delay()?)),
    },
    StepRow {
        name: "rate", syntax: "rate N/s",
        meaning: "From here on, sends at most N bytes per second: after a piece of n bytes, the next one waits n/N seconds. \
                  Replaces `chunk`.",
        read: |cursor| Ok(Step::Rate(cursor.rate()?)),
    },
    StepRow {
        name: "chunk", syntax: "chunk N every D[±D]",
        meaning: "From here on, sends pieces of at most N bytes and waits D before each. Replaces `rate`.",
        read: |cursor| {
            let size = cursor.size()?;
            cursor.skip_spaces();
            let before = cursor.clone();
            if cursor.word().1 != "every" {
                return Err(before.wrong("expected every D, such as: chunk 1 every 100ms"));
            }
            Ok(Step::Chunk(size, cursor.delay()?))
        },
    },
    StepRow {
        name: "close", syntax: "close",
        meaning: "Sends FIN, discards what has come and was not read, and closes. The kernel answers later bytes with RST.",
        read: |_| Ok(Step::Close),
    },
    StepRow {
        name: "reset", syntax: "reset",
        meaning: "Waits until the peer's kernel has acknowledged everything sent before, then sends RST (SO_LINGER 0).",
        read: |_| Ok(Step::Reset),
    },
    StepRow {
        name: "close-unread", syntax: "close-unread",
        meaning: "Waits like `reset`, then for bytes of the peer, and closes without reading them: the kernel sends RST \
                  (RFC 1122 4.2.2.13). If the peer sends FIN and no bytes, this is `close`.",
        read: |_| Ok(Step::CloseUnread),
    },
];

impl Step {
    /// Reads one step.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Read<Step> {
        let before = cursor.clone();
        let name = cursor.name();
        if let Some(row) = STEPS.iter().find(|row| row.name == name) {
            return (row.read)(cursor);
        }
        let word = before.clone().word().1;
        Err(expected(before.at(), word, "a step such as echo 5, pause 2s or reset"))
    }

    /// Returns what is out of range, if anything is.
    pub(super) fn check(&self) -> Result<(), String> {
        let (sizes, delays): (&[&u64], &[&Delay]) = match self {
            Step::Echo(Some(n))
            | Step::Discard(n)
            | Step::Corrupt(n)
            | Step::Drop(n)
            | Step::Repeat(n)
            | Step::Rate(n) => (&[n], &[]),
            Step::Pause(delay) => (&[], &[delay]),
            Step::Chunk(n, delay) => (&[n], &[delay]),
            _ => return Ok(()),
        };
        if let Some(n) = sizes.iter().find(|n| !(1..=MOST_BYTES).contains(**n)) {
            return Err(format!("{n} bytes are out of range, 1 to {MOST_BYTES}"));
        }
        if delays.iter().any(|delay| delay.time > LONGEST || delay.jitter > delay.time) {
            return Err(
                "the time is longer than ten years, or its random part is longer than it".into()
            );
        }
        match self {
            Step::Repeat(n) if *n > LONGEST_REPEAT => {
                Err("repeat keeps the bytes, so its limit is 64KiB".into())
            }
            _ => Ok(()),
        }
    }

    /// Whether it ends the connection.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Step::Close | Step::Reset | Step::CloseUnread | Step::StopReading)
    }

    /// Whether it sends bytes of its own or of the peer.
    pub(super) fn sends(&self) -> bool {
        matches!(
            self,
            Step::Echo(_) | Step::Corrupt(_) | Step::Repeat(_) | Step::Send(_) | Step::Drop(_)
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sized = |f: &mut fmt::Formatter<'_>, name: &str, n: u64| {
            write!(f, "{name} ")?;
            write_size(f, n)
        };
        match self {
            Step::Echo(None) => f.write_str("echo all"),
            Step::Echo(Some(n)) => sized(f, "echo", *n),
            Step::Discard(n) => sized(f, "discard", *n),
            Step::Corrupt(n) => sized(f, "corrupt", *n),
            Step::Drop(n) => sized(f, "drop", *n),
            Step::Repeat(n) => sized(f, "repeat", *n),
            Step::Pause(delay) => write!(f, "pause {delay}"),
            Step::Send(payload) => write!(f, "send {payload}"),
            Step::Expect(payload) => write!(f, "expect {payload}"),
            Step::Rate(n) => {
                sized(f, "rate", *n)?;
                f.write_str("/s")
            }
            Step::Chunk(n, delay) => {
                sized(f, "chunk", *n)?;
                write!(f, " every {delay}")
            }
            Step::Fin => f.write_str("fin"),
            Step::WaitFin => f.write_str("wait-fin"),
            Step::StopReading => f.write_str("stop-reading"),
            Step::Close => f.write_str("close"),
            Step::Reset => f.write_str("reset"),
            Step::CloseUnread => f.write_str("close-unread"),
        }
    }
}
