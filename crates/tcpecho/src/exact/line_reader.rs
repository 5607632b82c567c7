//! The book's `readline` (UNP 3.9) without static variables: buffered, bounded, for any bytes.

use std::os::fd::AsFd;

use super::read_some;
use crate::Error;

/// The buffer is at least this large, however short the lines may be: one read for many lines.
const SMALLEST_BUFFER: usize = 4096;

/// Reads lines from a descriptor.
///
/// It reads ahead. Do not read from the descriptor in another way without taking [`buffered`](Self::buffered) first.
///
/// ```
/// use tcpecho::exact::{LineReader, write_all};
///
/// let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
/// write_all(&ours, b"one\ntwo and more\nlast")?;
/// drop(ours);
/// let mut lines = LineReader::new(theirs, 8);
/// let mut said = String::new();
/// while let Some(piece) = lines.next_piece()? {
///     said += &String::from_utf8_lossy(piece.bytes);
///     said += if piece.ends_line { "|" } else { "..." };
/// }
/// assert_eq!(said, "one\n|two and ...more\n|last|");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LineReader<Fd> {
    fd: Fd,
    lines: Lines,
}

/// A line, or a part of a line that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The bytes of the line, including the newline. Empty only if the input ends without a newline, exactly at the end
    /// of the previous piece.
    pub bytes: &'a [u8],
    /// Whether the line ends with this piece, by a newline or by the end of the input. Every line has one such piece.
    pub ends_line: bool,
}

impl<Fd: AsFd> LineReader<Fd> {
    /// Reads lines of at most `longest` bytes with the newline (0 counts as 1) and returns longer lines in pieces.
    /// The buffer has `longest` bytes, at least 4096.
    #[must_use]
    pub fn new(fd: Fd, longest: usize) -> Self {
        LineReader { fd, lines: Lines::new(longest, SMALLEST_BUFFER) }
    }

    /// Returns the next line or part of a line, and `None` from the end of the input on.
    ///
    /// # Errors
    ///
    /// Those of read(2). The bytes read before stay in [`buffered`](Self::buffered), and the call can be repeated.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, Error> {
        self.lines.next_piece(|space| read_some(&self.fd, space))
    }

    /// Returns the bytes that were read and not returned yet (the book's `readlinebuf`).
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.lines.buffer[self.lines.start..self.lines.end]
    }

    /// Returns the descriptor; [`buffered`](Self::buffered) bytes are lost.
    #[must_use]
    pub fn into_inner(self) -> Fd {
        self.fd
    }
}

/// The splitting, which knows no descriptor. `buffer[start..end]` waits; the first `searched` bytes
/// of that hold no newline.
#[derive(Debug)]
struct Lines {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    searched: usize,
    longest: usize,
    inside_line: bool,
    input_ended: bool,
}

impl Lines {
    fn new(longest: usize, smallest_buffer: usize) -> Self {
        let longest = longest.max(1);
        Lines {
            buffer: vec![0; longest.max(smallest_buffer)].into(),
            start: 0,
            end: 0,
            searched: 0,
            longest,
            inside_line: false,
            input_ended: false,
        }
    }

    fn next_piece<E>(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Option<Piece<'_>>, E> {
        loop {
            if let Some((length, ends_line)) = self.find() {
                return Ok(Some(self.take(length, ends_line)));
            }
            if self.input_ended {
                let length = self.end - self.start;
                let more = length > 0 || self.inside_line;
                return Ok(more.then(|| self.take(length, true)));
            }
            let count = read(self.space())?;
            self.end += count;
            self.input_ended = count == 0;
        }
    }

    /// The length of the next piece, and whether it ends the line; `None` if more must be read.
    fn find(&mut self) -> Option<(usize, bool)> {
        let waiting = &self.buffer[self.start..self.end];
        let window = &waiting[..waiting.len().min(self.longest)];
        if let Some(at) = window[self.searched..].iter().position(|&byte| byte == b'\n') {
            return Some((self.searched + at + 1, true));
        }
        self.searched = window.len();
        (window.len() == self.longest).then_some((self.longest, false))
    }

    fn take(&mut self, length: usize, ends_line: bool) -> Piece<'_> {
        let from = self.start;
        self.start += length;
        self.searched = 0;
        self.inside_line = !ends_line;
        Piece { bytes: &self.buffer[from..self.start], ends_line }
    }

    /// Room to read into, never empty: less than one line waits, and the buffer holds one.
    fn space(&mut self) -> &mut [u8] {
        if self.start == self.end || self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// The input's pieces when the reads return `sizes` bytes in turn.
    fn pieces(
        input: &[u8],
        longest: usize,
        buffer: usize,
        sizes: &[usize],
    ) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Lines::new(longest, buffer);
        let (mut rest, mut sizes) = (input, sizes.iter().cycle());
        let mut read = |space: &mut [u8]| {
            assert!(!space.is_empty(), "a read of no bytes would look like the end");
            let count = rest.len().min(space.len()).min(*sizes.next().unwrap());
            let (now, later) = rest.split_at(count);
            space[..count].copy_from_slice(now);
            rest = later;
            Ok::<_, Infallible>(count)
        };
        let mut pieces = Vec::new();
        while let Ok(Some(piece)) = lines.next_piece(&mut read) {
            pieces.push((piece.bytes.to_vec(), piece.ends_line));
        }
        pieces
    }

    proptest! {
        #[test]
        fn pieces_are_the_lines_whatever_the_read_sizes(
            input in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            longest in 1_usize..20,
            buffer in 1_usize..40,
            sizes in prop::collection::vec(1_usize..30, 1..10),
        ) {
            let mut lines = vec![Vec::new()];
            for (bytes, ends_line) in pieces(&input, longest, buffer, &sizes) {
                prop_assert!(bytes.len() <= longest);
                lines.last_mut().unwrap().extend(bytes);
                if ends_line {
                    lines.push(Vec::new());
                }
            }
            prop_assert_eq!(lines.pop(), Some(Vec::new()), "the last piece ends its line");
            let expected: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
            prop_assert_eq!(lines, expected);
        }
    }

    #[test]
    fn a_last_line_that_fills_its_piece_still_ends() {
        let expected = [(b"abcd".to_vec(), false), (Vec::new(), true)];
        assert_eq!(pieces(b"abcd", 4, 4, &[9]), expected);
        assert_eq!(pieces(b"", 4, 4, &[9]), []);
    }
}
