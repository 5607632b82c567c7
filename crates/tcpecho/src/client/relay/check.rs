//! Compares what comes back with what was sent.

use super::pipe::Pipe;

/// The first byte of the answer that is not the one sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Its offset: how many correct bytes came before it.
    pub offset: u64,
    /// The byte sent there; `None` if the answer is longer than what was sent.
    pub expected: Option<u8>,
    /// The byte received.
    pub got: u8,
}

/// Compares `answer` with the oldest bytes that `sent` remembers, and releases the correct ones.
pub(super) fn check(sent: &mut Pipe, answer: &[u8]) -> Result<(), Difference> {
    let (front, back) = sent.remembered();
    let same = same(front, answer);
    let same = if same == front.len() { same + self::same(back, &answer[same..]) } else { same };
    let expected = front.iter().chain(back).nth(same).copied();
    sent.release(same);
    match answer.get(same) {
        None => Ok(()),
        Some(&got) => Err(Difference { offset: sent.released(), expected, got }),
    }
}

/// Returns how many bytes two slices have in common at their beginning.
fn same(one: &[u8], other: &[u8]) -> usize {
    let shorter = one.len().min(other.len());
    // Whole slices compare at the speed of memcmp. The place is searched for only if they differ.
    if one[..shorter] == other[..shorter] {
        return shorter;
    }
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(bytes: &[u8]) -> Pipe {
        let mut pipe = Pipe::new(64);
        let read = |room: &mut [u8]| {
            room[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        };
        pipe.fill(read).unwrap();
        pipe.pass(bytes.len());
        pipe
    }

    #[test]
    fn the_first_difference_has_its_place_in_the_whole_stream() {
        let mut pipe = sent(b"abcdef");
        assert_eq!(check(&mut pipe, b"abc"), Ok(()));
        let difference = Difference { offset: 4, expected: Some(b'e'), got: b'E' };
        assert_eq!(check(&mut pipe, b"dEf"), Err(difference));
    }

    #[test]
    fn more_than_was_sent_is_a_difference() {
        let mut pipe = sent(b"ab");
        let difference = Difference { offset: 2, expected: None, got: b'!' };
        assert_eq!(check(&mut pipe, b"ab!"), Err(difference));
    }

    #[test]
    fn an_echo_of_unsent_bytes_is_a_difference() {
        let mut pipe = sent(b"s");
        pipe.fill(|room| {
            room[0] = b'w';
            Ok(1)
        })
        .unwrap();
        let difference = Difference { offset: 1, expected: None, got: b'w' };
        assert_eq!(check(&mut pipe, b"sw"), Err(difference));
    }
}
