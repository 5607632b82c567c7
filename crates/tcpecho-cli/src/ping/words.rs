//! Times and counts as they are printed.

use std::time::Duration;

/// Milliseconds with three digits that matter, as fping prints them: `0.123`, `1.23`, `12.3`, `123`.
pub(super) fn ms(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1e3;
    match ms {
        _ if ms < 1.0 => format!("{ms:.3}"),
        _ if ms < 10.0 => format!("{ms:.2}"),
        _ if ms < 100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

/// Milliseconds to the microsecond, as ping's last line has them.
pub(super) fn exact_ms(span: Duration) -> String {
    format!("{:.3}", span.as_secs_f64() * 1e3)
}

/// `1 probe`, `2 probes`.
pub(super) fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// A percentage as ping writes it: as few digits as tell it.
pub(super) fn percent(share: f64) -> String {
    if share.fract() == 0.0 { format!("{share:.0}") } else { format!("{share:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_that_matter() {
        for (us, text) in
            [(1, "0.001"), (123, "0.123"), (1_234, "1.23"), (12_345, "12.3"), (203_400, "203")]
        {
            assert_eq!(ms(Duration::from_micros(us)), text);
        }
        assert_eq!((percent(0.0), percent(100.0 / 3.0)), ("0".into(), "33.333".into()));
    }
}
