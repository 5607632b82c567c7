//! A bounded pipe from a source to a sink, which remembers bytes that the sink has taken until they are released.

use std::collections::VecDeque;

use rustix::io::Errno;

/// The most bytes read ahead of the sink, and in one turn.
pub(super) const TURN: usize = 64 * 1024;

/// Bytes in three states: waiting for the sink, passed on but still remembered, and released.
#[derive(Debug)]
pub(super) struct Pipe {
    /// The remembered bytes, then those that wait.
    bytes: VecDeque<u8>,
    /// How many are remembered: the sink has taken them.
    remembered: usize,
    limit: usize,
    scratch: Box<[u8]>,
    ended: bool,
    released: u64,
}

impl Pipe {
    /// Creates a pipe that holds at most `limit` bytes. It grows as needed.
    pub(super) fn new(limit: usize) -> Self {
        Pipe {
            bytes: VecDeque::new(),
            remembered: 0,
            limit,
            scratch: vec![0; TURN].into(),
            ended: false,
            released: 0,
        }
    }

    /// Returns how many bytes may be read from the source now: soon none if the sink is blocked.
    pub(super) fn room(&self) -> usize {
        if self.ended {
            return 0;
        }
        let ahead = self.bytes.len() - self.remembered;
        TURN.saturating_sub(ahead).min(self.limit - self.bytes.len())
    }

    /// Reads once from the source and returns the bytes; none is end of file.
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<&[u8], Errno> {
        let room = self.room();
        let count = read(&mut self.scratch[..room])?;
        self.ended = count == 0;
        self.bytes.extend(&self.scratch[..count]);
        Ok(&self.scratch[..count])
    }

    /// Ends reading from the source.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Returns whether the source has ended.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Returns bytes for the sink: the first contiguous part of those that wait.
    pub(super) fn waiting(&self) -> &[u8] {
        let (front, back) = self.bytes.as_slices();
        match front.get(self.remembered..) {
            Some([]) | None => &back[self.remembered - front.len()..],
            Some(rest) => rest,
        }
    }

    /// Notes that the sink has taken bytes.
    pub(super) fn pass(&mut self, count: usize) {
        self.remembered += count;
    }

    /// Returns the remembered bytes, the oldest first, in two parts.
    pub(super) fn remembered(&self) -> (&[u8], &[u8]) {
        let (front, back) = self.bytes.as_slices();
        let split = self.remembered.min(front.len());
        (&front[..split], &back[..self.remembered - split])
    }

    /// Forgets remembered bytes, the oldest first.
    pub(super) fn release(&mut self, count: usize) {
        self.bytes.drain(..count);
        self.remembered -= count;
        self.released += count as u64;
    }

    /// Returns whether nothing waits and nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns how many bytes have been released.
    pub(super) fn released(&self) -> u64 {
        self.released
    }

    /// Returns how many bytes the sink has taken.
    pub(super) fn passed(&self) -> u64 {
        self.released + self.remembered as u64
    }

    /// Returns how many bytes came from the source.
    pub(super) fn taken(&self) -> u64 {
        self.released + self.bytes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(pipe: &mut Pipe, bytes: &[u8]) {
        let read = |room: &mut [u8]| {
            room[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        };
        assert_eq!(pipe.fill(read), Ok(bytes));
    }

    #[test]
    fn bytes_wait_are_remembered_and_are_released() {
        let mut pipe = Pipe::new(8);
        put(&mut pipe, b"abcdef");
        pipe.pass(4);
        assert_eq!((pipe.waiting(), pipe.remembered().0), (&b"ef"[..], &b"abcd"[..]));
        pipe.release(3);
        assert_eq!((pipe.released(), pipe.passed(), pipe.taken()), (3, 4, 6));
        assert_eq!(pipe.room(), 5);
        put(&mut pipe, b"ghijk");
        assert_eq!(pipe.room(), 0);

        // The ring has wrapped by now; what is remembered and what waits are still in order.
        let mut out = Vec::new();
        while !pipe.waiting().is_empty() {
            out.extend_from_slice(pipe.waiting());
            pipe.pass(pipe.waiting().len());
        }
        assert_eq!(out, b"efghijk");
        let (front, back) = pipe.remembered();
        assert_eq!([front, back].concat(), b"defghijk");
        pipe.release(8);
        assert!(pipe.is_empty());
    }

    #[test]
    fn an_end_of_file_leaves_no_room() {
        let mut pipe = Pipe::new(8);
        assert_eq!(pipe.fill(|_| Ok(0)), Ok(&[][..]));
        assert!(pipe.ended());
        assert_eq!(pipe.room(), 0);
    }

    #[test]
    fn reading_ahead_stops_at_a_turn_and_the_whole_at_the_limit() {
        let mut pipe = Pipe::new(3 * TURN);
        put(&mut pipe, &vec![1; TURN]);
        assert_eq!(pipe.room(), 0);
        for _ in 0..2 {
            pipe.pass(TURN);
            put(&mut pipe, &vec![1; TURN]);
        }
        pipe.pass(pipe.waiting().len());
        assert_eq!(pipe.room(), 0);
    }
}
