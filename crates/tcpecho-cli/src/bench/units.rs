//! Numbers as people read them.

/// Nanoseconds in a unit that suits them, with three digits: `1.23 ms`.
pub(super) fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n >= 9.995e8 => (n / 1e9, "s"),
        n if n >= 9.995e5 => (n / 1e6, "ms"),
        n if n >= 999.5 => (n / 1e3, "µs"),
        n => (n, "ns"),
    };
    format!("{} {unit}", digits(value))
}

/// Three digits that matter.
pub(super) fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 || size == 0.0 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A whole number in groups of three.
pub(super) fn count(number: u64) -> String {
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

/// A rate: whole where it is large.
pub(super) fn rate(value: f64) -> String {
    if value >= 1000.0 { count(value.round() as u64) } else { digits(value) }
}

/// Bytes in a unit that suits them.
pub(super) fn bytes(value: f64) -> String {
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
        assert_eq!((rate(12_345.6), rate(0.5)), ("12,346".into(), "0.50".into()));
        assert_eq!((bytes(64.0), bytes(1.5e6)), ("64 B".into(), "1.50 MB".into()));
    }
}
