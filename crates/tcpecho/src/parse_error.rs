//! A text that cannot be parsed.

use std::fmt;

/// The reason why a text cannot be parsed, as a sentence without a full stop.
///
/// ```
/// let error = "localhost:http:7".parse::<tcpecho::Endpoint>().unwrap_err();
/// assert!(error.to_string().starts_with("invalid address \"localhost:http:7\""));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(String);

impl ParseError {
    /// Makes an error from a sentence. Quoted input in it must be escaped.
    pub fn new(sentence: impl Into<String>) -> Self {
        ParseError(sentence.into())
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}
