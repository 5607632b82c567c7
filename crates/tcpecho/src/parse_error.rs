//! A text that a person wrote and that cannot be read.

use std::fmt;

/// Why a text was not understood, as a sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(String);

impl ParseError {
    /// The sentence. Whatever it quotes must be escaped already.
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
