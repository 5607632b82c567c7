//! Reads the size of a probe.

use tcpecho::ParseError;
use tcpecho_probe::LARGEST_PROBE;

/// Reads the size of a probe, from one byte to [`LARGEST_PROBE`].
pub(super) fn parse_size(text: &str) -> Result<usize, ParseError> {
    let size = tcpecho::internal::parse_size(text, LARGEST_PROBE as u64)?;
    Ok(usize::try_from(size).unwrap_or(LARGEST_PROBE))
}
