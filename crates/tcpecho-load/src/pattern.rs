//! What is sent: bytes that tell their position and their connection.

/// The most that is read or written in one turn.
pub(crate) const TURN: usize = 128 * 1024;

/// A prime, so that no message size and no buffer size divides it: a block that is lost, doubled or
/// swapped shows at its first byte.
const PERIOD: usize = 65_521;

/// Noise that repeats after [`PERIOD`] bytes. Connections start at different places in it, so
/// that checking what came back is one comparison with a slice of it.
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

    /// The `length` bytes (at most [`TURN`]) from `position` on of connection number `connection`.
    pub(crate) fn at(&self, connection: usize, position: u64, length: usize) -> &[u8] {
        let start = (position + connection as u64 * 7_919) % PERIOD as u64;
        &self.0[start as usize..][..length]
    }
}
