//! What is sent: bytes that differ by position and by connection.

/// Most bytes per recv(2) or send(2).
pub(crate) const TURN: usize = 128 * 1024;

/// Length of the pattern. It is a prime, so that no message size and no buffer size divides it: a block that is
/// lost, repeated or swapped is noticed at its first byte.
const PERIOD: usize = 65_521;

/// Pseudo-random bytes that repeat after [`PERIOD`] bytes. Connections start at different positions in them, so
/// that checking what was received is one comparison with a slice.
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    pub(crate) fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let noise = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let mut bytes: Vec<u8> = std::iter::repeat_with(noise).take(PERIOD).collect();
        while bytes.len() < PERIOD + TURN {
            bytes.extend_from_within(bytes.len() - PERIOD..);
        }
        Self(bytes)
    }

    /// Returns `length` bytes (at most [`TURN`]) from `position` of connection number `connection`.
    pub(crate) fn at(&self, connection: usize, position: u64, length: usize) -> &[u8] {
        let start = (position + connection as u64 * 7_919) % PERIOD as u64;
        &self.0[start as usize..][..length]
    }
}
