//! The table of faults that have a name.

use std::time::Duration;

use super::{
    cursor::{Cursor, Read, expected},
    listener_fault::ListenerFault,
    script::Script,
    step::Step,
    value::{Delay, LONGEST_PAYLOAD, LONGEST_REPEAT, Payload},
};
use crate::Ending;

/// A fault with a name; a row of [`PRESETS`].
///
/// ```
/// use tcpecho::{Ending, PRESETS, Script};
///
/// let preset = PRESETS.iter().find(|preset| preset.name == "reset-after").unwrap();
/// assert_eq!((preset.parameter, preset.ending), ("N", Ending::Reset));
/// assert_eq!(preset.script().unwrap(), "echo 10; reset".parse::<Script>()?);
/// # Ok::<(), tcpecho::ParseError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Preset {
    /// Its name, such as `reset-after`.
    pub name: &'static str,
    /// How its parameter is written, such as `N` or `N/D`; empty if it takes none.
    pub parameter: &'static str,
    /// How it is written with a typical parameter, such as `reset-after=10`.
    pub example: &'static str,
    /// What it does, as a sentence without a full stop.
    pub sentence: &'static str,
    /// How the connection ends for a client that sends at least a few bytes, half-closes and waits for the echo, with a
    /// deadline.
    pub ending: Ending,
    make: Make,
}

/// What a preset is made from.
#[derive(Debug)]
enum Make {
    Plain(fn() -> Script),
    Size(fn(u64) -> Script),
    Rate(fn(u64) -> Script),
    Time(fn(Delay) -> Script),
    SizeTime(fn(u64, Delay) -> Script),
    Text(fn(Payload) -> Script),
    Listener(fn() -> ListenerFault),
    ListenerTime(fn(Duration) -> ListenerFault),
}

/// A fault with a name, read with its parameter.
pub(super) enum Named {
    Script(Script),
    Listener(ListenerFault),
}

/// Sends pieces that are never cut shorter than a read.
const WHOLE: u64 = 64 << 10;

macro_rules! presets {
    ($($name:literal, $parameter:literal, $example:literal, $ending:ident, $make:ident($body:expr), $sentence:literal;)*) => {
        /// All faults that have a name: first those of a connection, then those of the listener.
        pub static PRESETS: &[Preset] = &[$(Preset {
            name: $name, parameter: $parameter, example: $example, sentence: $sentence,
            ending: Ending::$ending, make: Make::$make($body),
        },)*];
    };
}

presets! {
    "reset-after", "N", "reset-after=10", Reset, Size(|n| Script::new().echo(n).reset()),
        "echoes N bytes, then sends RST";
    "close-after", "N", "close-after=10", ClosedEarly, Size(|n| Script::new().echo(n).close()),
        "echoes N bytes, then closes; the kernel answers later bytes with RST";
    "truncate", "N", "truncate=10", ClosedEarly, Size(|n| Script::new().echo(n).fin().wait_fin()),
        "echoes N bytes, then sends FIN and discards the rest: a truncated answer";
    "stall-after", "N", "stall-after=10", TimedOut, Size(|n| Script::new().echo(n).stop_reading()),
        "echoes N bytes, then neither reads nor sends, and stays connected";
    "zero-window", "", "zero-window", TimedOut, Plain(|| Script::new().stop_reading()),
        "never reads: the receive window closes, and no answer comes";
    "half-close", "", "half-close", ClosedEarly, Plain(|| Script::new().fin().wait_fin()),
        "sends FIN at once and goes on receiving";
    "reset-on-accept", "", "reset-on-accept", Reset, Plain(|| Script::new().reset()),
        "sends RST as soon as the connection is accepted";
    "close-on-accept", "", "close-on-accept", ClosedEarly, Plain(|| Script::new().close()),
        "closes the connection as soon as it is accepted";
    "close-unread", "", "close-unread", Reset, Plain(|| Script::new().close_unread()),
        "closes with received bytes unread, so the kernel sends RST";
    "reset-at-end", "", "reset-at-end", Reset, Plain(|| Script::new().echo_all().reset()),
        "echoes everything, then answers FIN with RST";
    "delay", "D[±D]", "delay=200ms", Finished, Time(|delay| Script::new().pause(delay).echo_all()),
        "waits before the first byte is read, then echoes";
    "jitter", "D[±D]", "jitter=100ms±50ms", Finished, Time(|delay| Script::new().chunk(WHOLE, delay).echo_all()),
        "waits before each answer, a time that is drawn anew each time";
    "drip", "N/D", "drip=1/100ms", Finished, SizeTime(|n, delay| Script::new().chunk(n, delay).echo_all()),
        "echoes in pieces of N bytes, each D after the one before";
    "rate", "N/s", "rate=10KiB/s", Finished, Rate(|n| Script::new().rate(n).echo_all()),
        "echoes at most N bytes per second";
    "slow-close", "D[±D]", "slow-close=2s", Finished, Time(|delay| Script::new().echo_all().pause(delay).close()),
        "echoes everything, and sends its FIN only D after the client's";
    "corrupt", "N", "corrupt=10", Mismatch, Size(|n| Script::new().corrupt(n).echo_all()),
        "changes one bit in the first N bytes of the echo";
    "drop", "N", "drop=10", Mismatch, Size(|n| Script::new().drop_bytes(n).echo_all()),
        "leaves the first N bytes out of the echo";
    "repeat", "N", "repeat=10", Mismatch, Size(|n| Script::new().repeat(n).echo_all()),
        "sends the first N bytes of the echo twice; N is at most 64KiB";
    "banner", "TEXT", "banner=\"220 ready\\r\\n\"", Mismatch, Text(|text| Script::new().step(Step::Send(text)).echo_all()),
        "sends TEXT before the echo";
    "never-accept", "", "never-accept", TimedOut, Listener(|| ListenerFault::NeverAccept),
        "never calls accept(2): the kernel completes the handshake, and nobody reads";
    "accept-delay", "D", "accept-delay=1s", Finished, ListenerTime(ListenerFault::AcceptDelay),
        "leaves each connection in the accept queue for D to 2 D, then echoes";
    "backlog-full", "", "backlog-full", ConnectTimeout, Listener(|| ListenerFault::BacklogFull),
        "fills its own accept queue, so the kernel drops every SYN";
    "refuse", "", "refuse", Refused, Listener(|| ListenerFault::Refuse),
        "holds the port without listening, so the kernel answers SYN with RST";
}

impl Preset {
    /// Returns the script of the [example](Preset::example); `None` for a fault of the listener.
    #[must_use]
    pub fn script(&self) -> Option<Script> {
        match Self::read(&mut Cursor::new(self.example)) {
            Ok(Some(Named::Script(script))) => Some(script),
            _ => None,
        }
    }

    /// Reads a fault with a name; `None` if the text does not begin with the name of one.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Read<Option<Named>> {
        cursor.skip_spaces();
        let (begin, text) = (cursor.at(), cursor.rest());
        let mut ahead = cursor.clone();
        let name = ahead.name();
        let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) else {
            return Ok(None);
        };
        // A step may have the same name.
        let has_value = ahead.rest().starts_with('=');
        if !has_value && is_step(name) && !preset.parameter.is_empty() {
            return Ok(None);
        }
        *cursor = ahead;
        match (has_value, preset.parameter) {
            (true, "") => return Err(cursor.wrong(format!("{name} takes no value"))),
            (false, parameter) if !parameter.is_empty() => {
                let sentence = format!("{name} needs a value, such as {}", preset.example);
                return Err(cursor.wrong(sentence));
            }
            _ => drop(cursor.take('=')),
        }
        let script = match preset.make {
            Make::Plain(make) => make(),
            Make::Size(make) => {
                let before = cursor.clone();
                let size = cursor.size()?;
                if name == "repeat" && size > LONGEST_REPEAT {
                    return Err(before.wrong("repeat keeps the bytes, so its limit is 64KiB"));
                }
                make(size)
            }
            Make::Rate(make) => make(cursor.rate()?),
            Make::Time(make) => make(cursor.delay()?),
            Make::SizeTime(make) => {
                let (size, delay) = cursor.size_and_delay()?;
                make(size, delay)
            }
            Make::Text(make) => make(text_of(cursor)?),
            Make::Listener(make) => return Ok(Some(Named::Listener(make()))),
            Make::ListenerTime(make) => {
                let before = cursor.clone();
                let delay = cursor.delay()?;
                if !delay.jitter.is_zero() {
                    return Err(before.wrong(format!("{name} takes a time without ±")));
                }
                return Ok(Some(Named::Listener(make(delay.time))));
            }
        };
        let written = &text[..cursor.at() - begin];
        let mut after = cursor.clone();
        after.skip_spaces();
        if after.take(';') {
            return Err(cursor.wrong("a preset is a whole script; use its steps to add others"));
        }
        Ok(Some(Named::Script(script.written(written))))
    }
}

/// Text in quotes, in hexadecimal, or one bare word.
fn text_of(cursor: &mut Cursor<'_>) -> Read<Payload> {
    let rest = cursor.rest();
    if rest.starts_with('"') || rest.starts_with("0x") {
        return cursor.payload();
    }
    let (at, word) = cursor.word();
    match word.len() {
        1..=LONGEST_PAYLOAD if !word.contains(char::is_control) => {
            Ok(Payload::of(word.as_bytes().to_vec()))
        }
        0 => Err(expected(at, "", "a word, \"TEXT\" in quotes or 0xHEX")),
        _ => Err(expected(at, "", "at most 1024 bytes without control characters")),
    }
}

fn is_step(name: &str) -> bool {
    super::step::STEPS.iter().any(|row| row.name == name)
}
