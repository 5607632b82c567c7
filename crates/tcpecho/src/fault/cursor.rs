//! Reads the text of a fault from left to right, and knows the column of an error.

use std::time::Duration;

use super::value::{Delay, LONGEST_PAYLOAD, MOST_BYTES, Payload};
use crate::{ParseError, duration::parse_duration, size::parse_size};

/// Where in the text, counted in bytes, and what is wrong there.
#[derive(Debug)]
pub(super) struct Wrong {
    at: usize,
    sentence: String,
}

/// The result of reading one part of a text.
pub(super) type Read<T> = Result<T, Wrong>;

/// A text and how far it has been read.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// Characters that end a word.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | ',' | '"')
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Cursor { text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(' ').len();
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// Reads this character if it is the next one.
    pub(super) fn take(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// Reads characters as long as they are of this kind.
    pub(super) fn take_while(&mut self, is: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !is(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Skips bytes that were read ahead.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Reads the name of a step, a preset or a condition.
    pub(super) fn name(&mut self) -> &'a str {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '-')
    }

    /// Reads the next word after spaces, with its place.
    pub(super) fn word(&mut self) -> (usize, &'a str) {
        self.skip_spaces();
        let at = self.at;
        (at, self.take_while(|c| !ends_word(c)))
    }

    /// An error at the next character.
    pub(super) fn wrong(&self, sentence: impl Into<String>) -> Wrong {
        Wrong { at: self.at, sentence: sentence.into() }
    }

    /// Reads a number of bytes, at least 1.
    pub(super) fn size(&mut self) -> Read<u64> {
        let (at, word) = self.word();
        size_at(at, word)
    }

    /// Reads a number of bytes per second.
    pub(super) fn rate(&mut self) -> Read<u64> {
        let (at, word) = self.word();
        match word.strip_suffix("/s") {
            Some(size) => size_at(at, size),
            None => Err(expected(at, word, "a rate such as 10KiB/s")),
        }
    }

    /// Reads a duration, with or without a random part: `100ms`, `100ms±50ms`.
    pub(super) fn delay(&mut self) -> Read<Delay> {
        let (at, word) = self.word();
        delay_at(at, word)
    }

    /// Reads `SIZE/TIME`.
    pub(super) fn size_and_delay(&mut self) -> Read<(u64, Delay)> {
        let (at, word) = self.word();
        let Some((size, delay)) = word.split_once('/') else {
            return Err(expected(at, word, "a size and a time such as 1/100ms"));
        };
        Ok((size_at(at, size)?, delay_at(at + size.len() + 1, delay)?))
    }

    /// Reads `"TEXT"` or `0xHEX`.
    pub(super) fn payload(&mut self) -> Read<Payload> {
        self.skip_spaces();
        let at = self.at;
        let bytes = if self.take('"') { self.quoted(at)? } else { self.hex()? };
        let sentence = match bytes.len() {
            1..=LONGEST_PAYLOAD => return Ok(Payload::of(bytes)),
            0 => "the text is empty".into(),
            length => format!("{length} bytes are too many, the limit is {LONGEST_PAYLOAD}"),
        };
        Err(Wrong { at, sentence })
    }

    fn hex(&mut self) -> Read<Vec<u8>> {
        let (at, word) = self.word();
        let Some(digits) = word.strip_prefix("0x") else {
            return Err(expected(at, word, "\"TEXT\" in quotes or 0xHEX"));
        };
        if let Some(odd) = digits.find(|c: char| !c.is_ascii_hexdigit()) {
            let sentence = "expected a hexadecimal digit".into();
            return Err(Wrong { at: at + 2 + odd, sentence });
        }
        if digits.len() % 2 == 1 {
            return Err(Wrong { at, sentence: "a byte is two hexadecimal digits".into() });
        }
        let pair = |two: &[u8]| nibble(two[0]) << 4 | nibble(two[1]);
        Ok(digits.as_bytes().chunks(2).map(pair).collect())
    }

    /// The text after its first quotation mark, at `start`.
    fn quoted(&mut self, start: usize) -> Read<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                let sentence = "the quotation mark has no counterpart".into();
                return Err(Wrong { at: start, sentence });
            };
            let at = self.at;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(bytes),
                '\\' => bytes.push(self.escape(at)?),
                c if c.is_control() => {
                    let sentence = "write a control character as \\n, \\r, \\t, \\0 or \\xHH";
                    return Err(Wrong { at, sentence: sentence.into() });
                }
                c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, at: usize) -> Read<u8> {
        let c = self.rest().chars().next();
        self.at += c.map_or(0, char::len_utf8);
        Ok(match c {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('"') => b'"',
            Some('\\') => b'\\',
            Some('x') => {
                let digits = self.rest().as_bytes();
                match digits {
                    [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                        self.at += 2;
                        nibble(*a) << 4 | nibble(*b)
                    }
                    _ => return Err(self.wrong("expected two hexadecimal digits")),
                }
            }
            _ => {
                let sentence = "unknown escape, expected \\n, \\r, \\t, \\0, \\\", \\\\ or \\xHH";
                return Err(Wrong { at, sentence: sentence.into() });
            }
        })
    }
}

fn nibble(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or(0) as u8
}

pub(super) fn expected(at: usize, found: &str, what: &str) -> Wrong {
    let sentence = match found {
        "" => format!("expected {what}"),
        found => format!("expected {what}, not \"{}\"", found.escape_debug()),
    };
    Wrong { at, sentence }
}

fn size_at(at: usize, word: &str) -> Read<u64> {
    if word.is_empty() {
        return Err(expected(at, "", "a size such as 100 or 16KiB"));
    }
    parse_size(word, MOST_BYTES).map_err(|error| Wrong { at, sentence: error.to_string() })
}

fn time_at(at: usize, word: &str) -> Read<Duration> {
    if word.is_empty() {
        return Err(expected(at, "", "a time such as 500ms or 2s"));
    }
    // Elsewhere, a number without a unit is seconds. In a script, 300 probably means milliseconds, not five minutes.
    if !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.') {
        let sentence = format!("expected a time with its unit, such as {word}ms or {word}s");
        return Err(Wrong { at, sentence });
    }
    parse_duration(word).map_err(|error| Wrong { at, sentence: error.to_string() })
}

fn delay_at(at: usize, word: &str) -> Read<Delay> {
    let parts = ["±", "+-"].iter().find_map(|sign| {
        word.split_once(sign).map(|(time, jitter)| (time, jitter, time.len() + sign.len()))
    });
    let Some((time, jitter, after)) = parts else {
        return Ok(Delay { time: time_at(at, word)?, jitter: Duration::ZERO });
    };
    let delay = Delay { time: time_at(at, time)?, jitter: time_at(at + after, jitter)? };
    if delay.jitter > delay.time {
        let sentence = "the random part is longer than the time itself".into();
        return Err(Wrong { at: at + after, sentence });
    }
    Ok(delay)
}

/// Reads a whole text, or says in which column it is wrong.
pub(super) fn read_all<T>(
    what: &str,
    text: &str,
    read: impl FnOnce(&mut Cursor<'_>) -> Read<T>,
) -> Result<T, ParseError> {
    let mut cursor = Cursor::new(text);
    let result = read(&mut cursor).and_then(|value| {
        cursor.skip_spaces();
        if cursor.is_at_end() { Ok(value) } else { Err(cursor.wrong("expected the end")) }
    });
    result.map_err(|Wrong { at, sentence }| {
        let column = text[..at.min(text.len())].chars().count() + 1;
        let text = text.escape_debug();
        ParseError::new(format!("\"{text}\" is not {what}: column {column}: {sentence}"))
    })
}
