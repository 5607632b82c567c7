//! A number of bytes, and a rate, as a person writes them: `64`, `16k`, `1.5M`, `10k/s`.

use tcpecho::NotUnderstood;

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

/// The largest message: one that still fits into memory many times.
const LARGEST: f64 = (64 << 20) as f64;

/// Reads a size of a message in bytes, 1 to 64 MiB.
pub(super) fn parse_size(text: &str) -> Result<u64, NotUnderstood> {
    match parse(text, SIZES) {
        Some(size) if (1.0..=LARGEST).contains(&size) => Ok(size as u64),
        Some(_) => Err(NotUnderstood::new("a message has 1 byte to 64 MiB")),
        None => Err(NotUnderstood::new(format!(
            "\"{}\" is no size; write 64, 16k, 1.5M or 100kB",
            text.escape_debug()
        ))),
    }
}

/// Reads a rate a second, above 0: `500`, `10k`, `1.5M`, each also with `/s`.
pub(super) fn parse_rate(text: &str) -> Result<f64, NotUnderstood> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    parse(number, RATES).filter(|rate| *rate >= 0.001 && *rate <= 1e9).ok_or_else(|| {
        NotUnderstood::new(format!(
            "\"{}\" is no rate; write 500, 10k or 1.5M a second",
            text.escape_debug()
        ))
    })
}

fn parse(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates() {
        for (text, bytes) in
            [("64", 64), ("16k", 16384), ("16KiB", 16384), ("1.5M", 1_572_864), ("100kB", 100_000)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "k", "-1", "1x", "65M", "1..2", "inf", "1e3"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(parse_rate("10k"), Ok(10_000.0));
        assert_eq!(parse_rate("1.5M/s"), Ok(1_500_000.0));
        for text in ["", "0", "-5", "10q", "9999999M"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
