//! What a connection of the generator is to do.

/// What a connection does, in bytes: sends up to `quota`, in messages of `message`, of which at most
/// `under_way` may be unanswered.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) message: u64,
    pub(crate) under_way: u64,
    pub(crate) quota: u64,
    pub(crate) reads: bool,
    /// Whether, after its quota, it resets the connection and makes the next one.
    pub(crate) again: bool,
}

impl Plan {
    /// Messages for ever, each sent when one of `under_way` has been answered.
    pub(crate) const fn rounds(message: u64, under_way: u64) -> Self {
        Self { message, under_way, quota: u64::MAX, reads: true, again: false }
    }

    /// As much as the connection takes, in both directions at once.
    pub(crate) const fn bulk() -> Self {
        Self::rounds(1, u64::MAX)
    }

    /// As much as the connection takes, and nothing is read.
    pub(crate) const fn stalled() -> Self {
        Self { reads: false, ..Self::bulk() }
    }

    /// One message, then silence.
    pub(crate) const fn single(message: u64) -> Self {
        Self { quota: message, ..Self::rounds(message, 1) }
    }

    /// How many bytes may have been sent when so many are back.
    pub(crate) fn horizon(&self, back: u64) -> u64 {
        let messages = (back / self.message).saturating_add(self.under_way);
        messages.saturating_mul(self.message).min(self.quota)
    }
}
