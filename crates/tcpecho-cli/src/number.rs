//! Whole numbers as values of options.

use tcpecho::ParseError;

/// Returns a parser of a number from `least` to `most`.
pub(crate) fn number<T: TryFrom<u64>>(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<T, ParseError> + Clone + Send + Sync + 'static {
    move |text| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u64>().ok().filter(|_| digits);
        let number = number.filter(|number| (least..=most).contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            ParseError::new(format!("expected a whole number from {least} to {most}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_limits() {
        assert_eq!(number::<u16>(1, 1024)("1024"), Ok(1024));
        for text in ["", "0", "1025", "x", "+5", "-5", "5.0", "99999999999999999999"] {
            let error = number::<u16>(1, 1024)(text).unwrap_err().to_string();
            assert_eq!(error, "expected a whole number from 1 to 1024", "{text}");
        }
        for text in ["0", "4294967296", "99999999999"] {
            let error = number::<u32>(1, u32::MAX.into())(text).unwrap_err().to_string();
            assert_eq!(error, "expected a whole number from 1 to 4294967295", "{text}");
        }
        let error = number::<u64>(1, u64::MAX)("18446744073709551616").unwrap_err().to_string();
        assert_eq!(error, "expected a whole number from 1 to 18446744073709551615");
        assert!(number::<u32>(0, u64::MAX)("4294967296").is_err());
    }
}
