//! The parsers of this crate, as the fuzz targets call them. Not an interface for anybody else.

pub use crate::{
    bench::fuzzing::{File, cpu_list, histogram, moment, shard, sources, threshold},
    lab::fuzzing::{Line, expectations, shell_line},
    serve::fuzzed_listener as listener,
};

/// Reads a number of bytes, 1 to `most`.
///
/// # Errors
/// Why the text is not one.
pub fn size(text: &str, most: u64) -> Result<u64, String> {
    tcpecho::internal::parse_size(text, most).map_err(|error| error.to_string())
}

/// Reads a rate a second.
///
/// # Errors
/// Why the text is not one.
pub fn rate(text: &str) -> Result<f64, String> {
    tcpecho::internal::parse_rate(text).map_err(|error| error.to_string())
}
