//! What a connection's report says about its fault.

use std::fmt;

use super::script::Script;

/// The fault that a connection had, and how far it came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fired {
    /// The script that was played. It is displayed as it was written.
    pub script: Script,
    /// The number of steps that were completed.
    pub completed: usize,
    /// The bits that `corrupt` changed.
    pub flips: Vec<Flip>,
    /// Whether `expect` received something else.
    pub unexpected: bool,
    /// Whether the peer's FIN had come before the server ended the connection.
    pub peer_closed: bool,
}

impl fmt::Display for Fired {
    /// Such as `fault "echo 5; reset", 2 of 2 steps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.script.steps().len();
        write!(f, "fault \"{}\", {} of {all} steps", self.script, self.completed)?;
        if self.unexpected { f.write_str(", unexpected bytes") } else { Ok(()) }
    }
}

/// A changed bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Flip {
    /// The number of the byte among all bytes that the server sent, from 0 on.
    pub byte: u64,
    /// The bit: 0 is the lowest.
    pub bit: u8,
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.byte, self.bit)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Fired {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fired = serializer.serialize_struct("Fired", 5)?;
        fired.serialize_field("script", &self.script.to_string())?;
        fired.serialize_field("completed", &self.completed)?;
        fired.serialize_field("flips", &self.flips)?;
        fired.serialize_field("unexpected", &self.unexpected)?;
        fired.serialize_field("peer_closed", &self.peer_closed)?;
        fired.end()
    }
}
