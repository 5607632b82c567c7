//! Finds the mark of a run in a stream, one byte at a time (Knuth, Morris, Pratt 1977).

use crate::payload::{MARK, Run};

#[derive(Debug)]
pub(super) struct Mark {
    bytes: [u8; MARK],
    /// For each number of matched bytes: how many still match after one that does not.
    shorter: [usize; MARK],
}

impl Mark {
    pub(super) fn of(run: Run) -> Self {
        let mut mark = Mark { bytes: run.mark(), shorter: [0; MARK] };
        for length in 1..MARK - 1 {
            let byte = mark.bytes[length];
            mark.shorter[length + 1] = mark.advance(mark.shorter[length], byte);
        }
        mark
    }

    pub(super) fn bytes(&self) -> &[u8; MARK] {
        &self.bytes
    }

    /// Returns with how many bytes of a mark the stream ends after this byte, if it ended with `begun` before. [`MARK`] is a
    /// complete mark, after which `begun` is 0.
    pub(super) fn advance(&self, mut begun: usize, byte: u8) -> usize {
        loop {
            match self.bytes.get(begun) {
                Some(expected) if *expected == byte => return begun + 1,
                _ if begun == 0 => return 0,
                _ => begun = self.shorter.get(begun).copied().unwrap_or(0),
            }
        }
    }
}

/// Returns whether one of the two begins with the other.
pub(super) fn is_beginning(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.iter().zip(mark).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Includes marks that overlap themselves: the magic number twice.
        #[test]
        fn a_mark_is_found_where_it_stands(
            run in prop_oneof![any::<u32>(), Just(u32::from_be_bytes(*b"TPNG"))],
            text in prop::collection::vec(prop::sample::select(b"TPNG\0".to_vec()), 0..40),
            cuts in 0_usize..9,
        ) {
            let mark = Mark::of(Run(run));
            let bytes = [&text[..], &mark.bytes()[..cuts.min(MARK)], &text, mark.bytes()].concat();
            let mut begun = 0;
            for end in 1..=bytes.len() {
                begun = mark.advance(begun, bytes[end - 1]);
                let longest = (0..=MARK.min(end))
                    .rev()
                    .find(|&length| bytes[..end].ends_with(&mark.bytes()[..length]));
                prop_assert_eq!(Some(begun), longest);
                if begun == MARK {
                    return Ok(());
                }
            }
            prop_assert!(false, "it stands at the end");
        }
    }
}
