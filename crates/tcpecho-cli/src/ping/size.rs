//! A number of bytes as a person writes it: `64`, `1k`, `2M`.

use tcpecho::NotUnderstood;

/// The largest size understood. A probe is held in memory whole.
pub(super) const LARGEST: usize = 16 << 20;

/// Reads a number of bytes, with `k` for 1024 and `M` for 1024² of them; from 1 to [`LARGEST`].
pub(super) fn parse_size(text: &str) -> Result<usize, NotUnderstood> {
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1 << 10),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |number| (number, 1 << 20)),
    };
    let shown = text.escape_debug();
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        let sentence = format!("\"{shown}\" is no size; write 64, 1k or 2M");
        return Err(NotUnderstood::new(sentence));
    }
    // Too many digits are too many bytes.
    let bytes = number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    match bytes {
        Some(0) => Err(NotUnderstood::new("a probe has one byte at least; --connect sends none")),
        Some(bytes) if bytes <= LARGEST => Ok(bytes),
        _ => Err(NotUnderstood::new("a probe can have 16M at most")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("1", 1), ("64", 64), ("1k", 1024), ("3K", 3072), ("1m", 1 << 20), ("16M", LARGEST)]
        {
            assert_eq!(parse_size(text), Ok(bytes));
        }
        for text in
            ["", "k", "-1", "+1", "1.5k", "1 k", "17M", "0", "1kk", "99999999999999999999999"]
        {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), near in "[0-9]{0,30}[kKM]?") {
            let _ = (parse_size(&text), parse_size(&near));
        }

        #[test]
        fn bytes_come_back(bytes in 1..=LARGEST) {
            prop_assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
        }
    }
}
