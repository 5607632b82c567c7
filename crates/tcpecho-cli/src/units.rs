//! Numbers as people read them.

use std::time::Duration;

pub(crate) use tcpecho::internal::{
    counted, show_elapsed as span, show_nanoseconds as time, three_digits as digits,
};

/// Milliseconds as fping prints them: `0.123`, `1.23`, `12.3`, `123`.
pub(crate) fn ms(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1e3;
    if ms < 0.9995 { format!("{ms:.3}") } else { digits(ms) }
}

/// Milliseconds to the microsecond, as ping's last line has them.
pub(crate) fn exact_ms(span: Duration) -> String {
    format!("{:.3}", span.as_secs_f64() * 1e3)
}

/// A percentage as ping writes it: as few digits as tell it.
pub(crate) fn percent(share: f64) -> String {
    if share.fract() == 0.0 { format!("{share:.0}") } else { format!("{share:.3}") }
}

/// A whole number in groups of three.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Whole numbers as a person lists them: `64, 1,024 and 16,384`.
pub(crate) fn list(all: &[u64]) -> String {
    let all: Vec<String> = all.iter().map(|number| count(*number)).collect();
    match all.split_last() {
        Some((last, before @ [_, ..])) => format!("{} and {last}", before.join(", ")),
        Some((last, [])) => last.clone(),
        None => String::new(),
    }
}

/// A rate: whole where it is large.
pub(crate) fn rate(value: f64) -> String {
    if value >= 1000.0 { count(value.round() as u64) } else { digits(value) }
}

/// Bytes in a unit that suits them.
pub(crate) fn bytes(value: f64) -> String {
    match value.abs() {
        size if size >= 1e9 => format!("{} GB", digits(value / 1e9)),
        size if size >= 1e6 => format!("{} MB", digits(value / 1e6)),
        size if size >= 1e4 => format!("{} kB", digits(value / 1e3)),
        _ => format!("{value:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!(time(1_234_000.0), "1.23 ms");
        assert_eq!(time(99_960.0), "100 µs");
        assert_eq!(time(999_900.0), "1.00 ms");
        assert_eq!(time(15.0), "15.0 ns");
        for (number, text) in [(0, "0"), (999, "999"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(list(&[64, 1024, 16_384]), "64, 1,024 and 16,384");
        assert_eq!((list(&[64, 1024]), list(&[64])), ("64 and 1,024".into(), "64".into()));
        for (us, text) in [
            (1, "0.001"),
            (123, "0.123"),
            (1_234, "1.23"),
            (9_996, "10.0"),
            (12_345, "12.3"),
            (203_400, "203"),
        ] {
            assert_eq!(ms(Duration::from_micros(us)), text);
        }
        assert_eq!((percent(0.0), percent(100.0 / 3.0)), ("0".into(), "33.333".into()));
        assert_eq!((rate(12_345.6), rate(0.5)), ("12,346".into(), "0.50".into()));
        assert_eq!((bytes(64.0), bytes(1.5e6)), ("64 B".into(), "1.50 MB".into()));
    }
}
