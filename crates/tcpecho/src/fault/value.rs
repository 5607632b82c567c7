//! The values in a script: times, bytes and sizes, and how each is written.

use std::{fmt, time::Duration};

/// The most bytes that a step counts: 1 TiB.
pub(super) const MOST_BYTES: u64 = 1 << 40;
/// The most bytes that `send` and `expect` have.
pub(super) const LONGEST_PAYLOAD: usize = 1024;
/// The most bytes that `repeat` keeps.
pub(super) const LONGEST_REPEAT: u64 = 64 << 10;

/// A time, and how much it varies: `100ms`, or `100ms±50ms` for a time from 50 to 150 ms that is drawn anew each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delay {
    /// The mean.
    pub time: Duration,
    /// The largest difference from it; zero for an exact time.
    pub jitter: Duration,
}

impl From<Duration> for Delay {
    fn from(time: Duration) -> Self {
        Delay { time, jitter: Duration::ZERO }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_time(f, self.time)?;
        if self.jitter.is_zero() {
            return Ok(());
        }
        f.write_str("±")?;
        write_time(f, self.jitter)
    }
}

/// The bytes of `send` and `expect`: 1 to 1024.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Payload(Box<[u8]>);

impl Payload {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Payload(bytes.into())
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Payload {
    /// In quotes if it is UTF-8, otherwise in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(text) = str::from_utf8(&self.0) else {
            f.write_str("0x")?;
            return self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"));
        };
        f.write_str("\"")?;
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => {
                    let mut bytes = [0; 4];
                    let bytes = c.encode_utf8(&mut bytes).bytes();
                    bytes.into_iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
                }
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// An exact size, in the largest unit that has no fraction.
pub(super) fn write_size(f: &mut fmt::Formatter<'_>, n: u64) -> fmt::Result {
    match n {
        n if n.is_multiple_of(1 << 20) => write!(f, "{}MiB", n >> 20),
        n if n.is_multiple_of(1 << 10) => write!(f, "{}KiB", n >> 10),
        n => write!(f, "{n}"),
    }
}

/// An exact time, in the largest unit that has no fraction; nanoseconds are fractions of a microsecond.
pub(super) fn write_time(f: &mut fmt::Formatter<'_>, time: Duration) -> fmt::Result {
    match time.as_nanos() {
        n if n.is_multiple_of(1_000_000_000) => write!(f, "{}s", n / 1_000_000_000),
        n if n.is_multiple_of(1_000_000) => write!(f, "{}ms", n / 1_000_000),
        n if n.is_multiple_of(1_000) => write!(f, "{}us", n / 1_000),
        n => write!(f, "{}.{:03}us", n / 1_000, n % 1_000),
    }
}
