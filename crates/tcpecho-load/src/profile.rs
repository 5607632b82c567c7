//! What every connection of a run sends.

use crate::schedule::Schedule;

/// The load profile: what connections send, and when.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Sizes of the messages in bytes, taken in turn. Must not be empty.
    pub sizes: Vec<u64>,
    /// How many messages of a connection may be without an answer at a time. `None` sends without end and
    /// counts no messages.
    pub depth: Option<usize>,
    /// When messages are due (open loop). `None` sends the next message when an answer came (closed loop).
    pub schedule: Option<Schedule>,
    /// The connections of the whole run, over all threads and machines. They share the schedule.
    pub flows: u64,
    /// Whether every byte is compared.
    pub check: bool,
}

impl Profile {
    /// Creates a closed loop of one connection with one message under way, every byte compared.
    #[must_use]
    pub fn new(sizes: Vec<u64>) -> Self {
        Self { sizes, depth: Some(1), schedule: None, flows: 1, check: true }
    }

    /// Returns the size of a message of a connection.
    pub(crate) fn size(&self, message: u64) -> u64 {
        self.sizes[(message % self.sizes.len() as u64) as usize]
    }

    /// Returns when message `message` of connection `number` is due, from the start of the schedule.
    pub(crate) fn due(&self, number: u64, message: u64) -> Option<u64> {
        self.schedule.map(|schedule| schedule.due(message * self.flows + number))
    }
}
