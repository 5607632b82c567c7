//! Parses and formats durations: `500ms`, `1m30s`, `2`.

use std::time::Duration;

use crate::ParseError;

/// Nanoseconds of each unit. A bare number is seconds, as for sleep(1).
const UNITS: &[(&str, u64)] = &[
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("", 1_000_000_000),
];

/// The longest accepted duration. It keeps every sum with a clock's reading in range.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Parses a duration: one or more numbers, with or without a decimal fraction, each with a unit (`us`, `ms`, `s`, `m`,
/// `h`), from the largest unit to the smallest. A number without a unit is seconds. Fractions of a nanosecond are
/// dropped.
///
/// # Errors
/// [`ParseError`] for anything else, and for more than ten years.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(tcpecho::internal::parse_duration("1.5m"), Ok(Duration::from_secs(90)));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, ParseError> {
    let nanos = sum(text).ok_or_else(|| {
        let text = text.escape_debug();
        ParseError::new(format!("\"{text}\" is not a duration (examples: 500ms, 2s, 1m30s)"))
    })?;
    match u64::try_from(nanos).map(Duration::from_nanos) {
        Ok(span) if span <= LONGEST => Ok(span),
        _ => Err(ParseError::new("a duration is at most ten years")),
    }
}

/// Nanoseconds from which a unit is used, nanoseconds of it, and its name.
const SHOWN: &[(f64, f64, &str)] = &[
    (0.0, 1.0, "ns"),
    (1e3, 1e3, "µs"),
    (1e6, 1e6, "ms"),
    (1e9, 1e9, "s"),
    (1e12, 60e9, "m"),
    (7.2e12, 3600e9, "h"),
];

/// Formats a duration with at most four significant digits: `998.4ms`, `30s`, `1.25s`, `83.33m`.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(tcpecho::internal::show_duration(Duration::from_nanos(998_353_581)), "998.4ms");
/// ```
#[must_use]
pub fn show_duration(span: Duration) -> String {
    let nanos = significant(span.as_nanos() as f64);
    let (_, unit, name) =
        SHOWN.iter().rev().find(|(from, ..)| nanos >= *from).unwrap_or(&(0.0, 1.0, "ns"));
    // The shortest text that is this number.
    format!("{}{name}", significant(nanos / unit))
}

/// Formats a measured time in a unit that suits it, with three digits: `82.4 µs`, `98.4 ms`, `1.25 s`.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(tcpecho::internal::show_elapsed(Duration::from_nanos(998_353_581)), "998 ms");
/// ```
#[must_use]
pub fn show_elapsed(span: Duration) -> String {
    show_nanoseconds(span.as_nanos() as f64)
}

/// Formats nanoseconds as [`show_elapsed`] does.
#[must_use]
pub fn show_nanoseconds(nanos: f64) -> String {
    let (value, unit) = match nanos {
        n if n >= 9.995e8 => (n / 1e9, "s"),
        n if n >= 9.995e5 => (n / 1e6, "ms"),
        n if n >= 999.5 => (n / 1e3, "µs"),
        n => (n, "ns"),
    };
    format!("{} {unit}", three_digits(value))
}

/// Formats a number with three digits.
#[must_use]
pub fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 || size == 0.0 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The nearest number with four significant digits.
fn significant(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}

/// Adds numbers with units, from the largest unit to the smallest. Only a number alone may have no unit.
fn sum(text: &str) -> Option<u128> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (mut rest, mut larger, mut total) = (text, u64::MAX, 0_u128);
    loop {
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let (unit, next) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        if *nanos >= larger || unit.is_empty() && rest.len() < text.len() {
            return None;
        }
        total = total.saturating_add(nanoseconds(number, *nanos)?);
        if next.is_empty() {
            return Some(total);
        }
        (rest, larger) = (next, *nanos);
    }
}

/// Exact decimal arithmetic; a number too large for it is as good as the largest.
fn nanoseconds(number: &str, unit: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut total = 0_u128;
    for digit in whole.bytes() {
        total = total.saturating_mul(10).saturating_add(u128::from(digit - b'0'));
    }
    total = total.saturating_mul(u128::from(unit));
    // Digits past these weigh less than a nanosecond for every unit.
    let (mut part, mut scale) = (0_u128, 1_u128);
    for digit in fraction.bytes().take(18) {
        part = part * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    Some(total.saturating_add(part * u128::from(unit) / scale))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_and_fractions() {
        for (text, nanos) in [
            ("0", 0),
            ("2", 2_000_000_000),
            ("2s", 2_000_000_000),
            ("500ms", 500_000_000),
            ("1.5m", 90_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1h1m1.5s20ms", 3_661_520_000_000),
            ("2h", 7_200_000_000_000),
            ("250us", 250_000),
            ("250µs", 250_000),
            (".5", 500_000_000),
            ("1.", 1_000_000_000),
            ("0.0000000019s", 1),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn a_shown_duration_has_at_most_four_digits() {
        for (nanos, text) in [
            (0, "0ns"),
            (7, "7ns"),
            (1_000, "1µs"),
            (104_749, "104.7µs"),
            (998_353_581, "998.4ms"),
            (999_960_000, "1s"),
            (999_940_000, "999.9ms"),
            (1_250_000_000, "1.25s"),
            (30_000_000_000, "30s"),
            (925_000_000_000, "925s"),
            (5_000_000_000_000, "83.33m"),
            (3_600_000_000_000, "60m"),
            (86_400_000_000_000, "24h"),
        ] {
            assert_eq!(show_duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            ".",
            "s",
            "1 s",
            "-1",
            "+1",
            "1.2.3",
            "1m30",
            "30s1m",
            "1s1s",
            "1m 30s",
            "1e3",
            "1d",
            "1S",
            "99999999999999999999h",
            "11e9",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ten_years_are_the_most() {
        for (text, longer) in [
            ("315360000", "315360001"),
            ("315360000s", "315360000.000000001s"),
            ("5256000m", "5256000.1m"),
            ("87600h", "87601h"),
        ] {
            assert_eq!(parse_duration(text), Ok(LONGEST), "{text}");
            let refused = parse_duration(longer).unwrap_err().to_string();
            assert_eq!(refused, "a duration is at most ten years", "{longer}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), numbers in "[0-9.]{0,60}(us|ms|s|m|h)?") {
            let _ = parse_duration(&text);
            let _ = parse_duration(&numbers);
        }

        #[test]
        fn a_shown_duration_parses_to_nearly_the_same(us in 1_u64..300_000_000_000_000) {
            let span = Duration::from_micros(us);
            let text = show_duration(span);
            let read = parse_duration(&text).unwrap();
            prop_assert!(read.abs_diff(span) <= span / 1000, "{} of {:?}", text, span);
        }

        #[test]
        fn microseconds_survive_a_round_trip(us in 0_u64..300_000_000_000_000) {
            let span = Duration::from_micros(us);
            prop_assert_eq!(parse_duration(&format!("{us}us")), Ok(span));
            let (seconds, rest) = (us / 1_000_000, us % 1_000_000);
            prop_assert_eq!(parse_duration(&format!("{seconds}.{rest:06}")), Ok(span));
        }
    }
}
