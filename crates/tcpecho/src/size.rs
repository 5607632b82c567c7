//! Numbers of bytes, rates and times that must be above 0, as a person writes them: `64`, `16k`, `1.5M`, `10k/s`, `2s`.

use std::time::Duration;

use crate::{ParseError, duration::parse_duration};

/// Binary for sizes: `k` and `KiB` are 1024 bytes; `kB` is 1000, as for dd(1).
const SIZES: &[(&str, f64)] = &[
    ("", 1.0),
    ("B", 1.0),
    ("k", 1024.0),
    ("K", 1024.0),
    ("KiB", 1024.0),
    ("kB", 1e3),
    ("m", 1_048_576.0),
    ("M", 1_048_576.0),
    ("MiB", 1_048_576.0),
    ("MB", 1e6),
];

/// Decimal for rates.
const RATES: &[(&str, f64)] = &[("", 1.0), ("k", 1e3), ("K", 1e3), ("M", 1e6)];

/// Reads a number of bytes, 1 to `most`.
///
/// # Errors
/// [`ParseError`] for anything else.
pub fn parse_size(text: &str, most: u64) -> Result<u64, ParseError> {
    match parse(text, SIZES) {
        Some(size) if size >= 1.0 && size <= most as f64 => Ok(size as u64),
        Some(_) => {
            let sentence = format!("{} is out of range; 1 byte to {}", text.trim(), words(most));
            Err(ParseError::new(sentence))
        }
        None => Err(ParseError::new(format!(
            "\"{}\" is not a size (examples: 64, 16k, 1.5M, 100kB)",
            text.escape_debug()
        ))),
    }
}

fn words(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes}") }
}

/// Reads a rate a second, above 0: `500`, `10k`, `1.5M`, each also with `/s`.
///
/// # Errors
/// [`ParseError`] for anything else.
pub fn parse_rate(text: &str) -> Result<f64, ParseError> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    parse(number, RATES).filter(|rate| *rate >= 0.001 && *rate <= 1e9).ok_or_else(|| {
        ParseError::new(format!(
            "\"{}\" is not a rate (examples: 500, 10k, 1.5M)",
            text.escape_debug()
        ))
    })
}

/// Reads a duration above 0.
///
/// # Errors
/// [`ParseError`] for anything else.
pub fn parse_time(text: &str) -> Result<Duration, ParseError> {
    let time = parse_duration(text)?;
    if time.is_zero() {
        return Err(ParseError::new("the time must be above 0, such as 500ms, 2s or 1m30s"));
    }
    Ok(time)
}

fn parse(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: u64 = 64 << 20;

    #[test]
    fn sizes_and_rates() {
        for (text, bytes) in [
            ("1", 1),
            ("64", 64),
            ("16k", 16384),
            ("3K", 3072),
            ("16KiB", 16384),
            ("1m", 1 << 20),
            ("1.5M", 1_572_864),
            ("100kB", 100_000),
            ("64M", MOST),
        ] {
            assert_eq!(parse_size(text, MOST), Ok(bytes), "{text}");
        }
        let wrong =
            ["", "0", "0.5", "k", "-1", "+1", "1x", "1 k", "1kk", "65M", "1..2", "inf", "1e3"];
        for text in wrong.into_iter().chain(["99999999999999999999999"]) {
            assert!(parse_size(text, MOST).is_err(), "{text}");
        }
        assert_eq!(parse_rate("10k"), Ok(10_000.0));
        assert_eq!(parse_rate("1.5M/s"), Ok(1_500_000.0));
        for text in ["", "0", "-5", "10q", "9999999M"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), near in "[0-9.]{0,30}[kKMB]{0,2}(/s)?") {
            for text in [text, near] {
                let _ = (parse_size(&text, MOST), parse_rate(&text));
            }
        }

        #[test]
        fn sizes_survive_a_round_trip(bytes in 1..=MOST) {
            prop_assert_eq!(parse_size(&bytes.to_string(), MOST), Ok(bytes));
        }
    }
}
