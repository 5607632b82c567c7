//! How large a probe may be.

use tcpecho::ParseError;

/// The largest size understood. A probe is held in memory whole.
pub(super) const LARGEST: usize = 16 << 20;

/// Reads the size of a probe, from one byte to [`LARGEST`].
pub(super) fn parse_size(text: &str) -> Result<usize, ParseError> {
    Ok(usize::try_from(crate::size::parse_size(text, LARGEST as u64)?).unwrap_or(LARGEST))
}
