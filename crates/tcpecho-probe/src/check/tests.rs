//! The checker against whatever a server may send.

use proptest::prelude::*;

use super::*;

const RUN: Run = Run(0x5EED);

fn stamp(seq: u64) -> Stamp {
    Stamp { seq, due_ns: seq * 1000 }
}

fn probe(seq: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    RUN.write(stamp(seq), &mut bytes);
    bytes
}

/// Everything found when `bytes` come in pieces of these lengths, in turn, and then the connection ends. As the prober
/// does, the oldest probe without an answer is what is expected next, out of `sent`.
fn found(bytes: &[u8], size: usize, sent: u64, pieces: &[usize]) -> Vec<Found> {
    let mut checker = Checker::new(RUN, size);
    let (mut all, mut settled) = (Vec::new(), std::collections::BTreeSet::new());
    let mut pieces = pieces.iter().copied().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = pieces.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (mut piece, behind) = rest.split_at(length);
        rest = behind;
        loop {
            let oldest = (1..=sent).find(|seq| !settled.contains(seq)).map(stamp);
            let Some(found) = checker.next(&mut piece, oldest) else { break };
            if let Found::Whole(Stamp { seq, .. }) | Found::Damaged { seq, .. } = found {
                settled.insert(seq);
            }
            all.push(found);
        }
        assert!(piece.is_empty() && checker.kept.len() <= SMALLEST_NUMBERED + MARK);
    }
    all.extend(checker.rest());
    assert!(checker.steps <= STEPS * (bytes.len() + 1), "{} for {}", checker.steps, bytes.len());
    all
}

/// Bytes looked at for each that comes, at most: a mark may begin four bytes after another one, and at each of them the
/// head of a probe is gathered, compared and searched for a mark.
const STEPS: usize = 40;

fn damaged(seq: u64, at: usize, alike: usize) -> Found {
    Found::Damaged { seq, at, alike }
}

fn whole(seq: u64) -> Found {
    Found::Whole(stamp(seq))
}

/// Foreign bytes may be told in parts where they come in parts.
fn joined(all: Vec<Found>) -> Vec<Found> {
    let mut joined: Vec<Found> = Vec::new();
    for next in all {
        match (joined.last_mut(), next) {
            (Some(Found::Foreign(before)), Found::Foreign(more)) => *before += more,
            _ => joined.push(next),
        }
    }
    joined
}

#[test]
fn an_honest_echo() {
    for size in [1, 7, 31, 32, 64, 1000] {
        let bytes = [probe(1, size), probe(2, size), probe(3, size)].concat();
        for piece in [1, 3, size, 10_000] {
            assert_eq!(found(&bytes, size, 3, &[piece]), [whole(1), whole(2), whole(3)]);
        }
    }
}

#[test]
fn a_doubled_a_missing_and_an_overtaking_answer() {
    let bytes = [probe(1, 64), probe(1, 64), probe(3, 64), probe(2, 64)].concat();
    assert_eq!(found(&bytes, 64, 3, &[64]), [whole(1), whole(1), whole(3), whole(2)]);
}

#[test]
fn a_changed_byte_wherever_it_is() {
    for size in [1, 5, 31, 32, 64] {
        for at in 0..size {
            let mut bytes = [probe(1, size), probe(2, size), probe(3, size)].concat();
            bytes[size + at] ^= 0x20;
            let expected = [whole(1), damaged(2, at, size - 1), whole(3)];
            let seen = found(&bytes, size, 3, &[11]);
            assert_eq!(seen, expected, "byte {at} of {size}");
        }
    }
}

#[test]
fn a_greeting_is_foreign() {
    let bytes = [b"220 hello\r\n".to_vec(), probe(1, 64), b"??".to_vec(), probe(2, 64)].concat();
    let expected = [Found::Foreign(11), whole(1), Found::Foreign(2), whole(2)];
    assert_eq!(found(&bytes, 64, 2, &[5]), expected);
    // Nothing was asked: it is known at once.
    let mut checker = Checker::new(RUN, 64);
    assert_eq!(checker.next(&mut &b"220 hello\r\n"[..], None), Some(Found::Foreign(11)));
}

#[test]
fn another_run_is_foreign() {
    let mut other = vec![0; 64];
    Run(1).write(stamp(1), &mut other);
    let bytes = [other, probe(1, 64)].concat();
    assert_eq!(found(&bytes, 64, 1, &[64]), [Found::Foreign(64), whole(1)]);
}

#[test]
fn bytes_that_are_missing_do_not_cost_the_next_probe() {
    for missing in 1..40 {
        let mut short = probe(2, 64);
        short.drain(30..30 + missing.min(34));
        let bytes = [probe(1, 64), short, probe(3, 64)].concat();
        let seen = without_counts(found(&bytes, 64, 3, &[9]));
        let expected = [whole(1), damaged(2, 30, 0), whole(3)];
        assert_eq!(seen, expected, "{missing}");
    }
}

/// The byte of the next probe's mark that is where the pattern has the same one belongs to the mark.
#[test]
fn a_mark_that_begins_where_the_pattern_has_its_first_byte_is_found() {
    let size = 4096;
    let pattern = probe(2, size);
    let mark = RUN.mark();
    let places: Vec<usize> = (100..size - 100)
        .filter(|at| pattern[*at] == mark[0] && pattern[at + 1] != mark[1])
        .collect();
    assert!(places.len() > 3, "{places:?}");
    for at in places {
        let bytes = [&probe(1, size), &pattern[..at], &probe(3, size)].concat();
        let expected = [whole(1), damaged(2, at, at), whole(3)];
        assert_eq!(found(&bytes, size, 3, &[700]), expected, "cut at {at}");
    }
}

/// Leaves out how many bytes of a damaged probe are right.
fn without_counts(all: Vec<Found>) -> Vec<Found> {
    let without = |found| match found {
        Found::Damaged { seq, at, .. } => damaged(seq, at, 0),
        other => other,
    };
    all.into_iter().map(without).collect()
}

fn first_difference(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).position(|(a, b)| a != b).unwrap()
}

#[test]
fn a_probe_without_its_first_bytes_is_damaged() {
    for size in [32, 64, 67, 1000, 9000] {
        // As long as a word of its pattern is left.
        for missing in (1..size - size % 8 - 7).step_by(1 + size / 100) {
            for piece in [1, 7, 5000] {
                let rest = |seq| probe(seq, size).split_off(missing);
                let bytes = [rest(1), rest(2), rest(3)].concat();
                let expected = [1, 2, 3].map(|seq| {
                    // A byte may be what was in its place by chance.
                    let at = first_difference(&rest(seq), &probe(seq, size));
                    damaged(seq, at, size - missing)
                });
                let seen = found(&bytes, size, 3, &[piece]);
                assert_eq!(seen, expected, "{missing} of {size} in pieces of {piece}");
            }
        }
    }
}

/// The last probe too, which no mark follows.
#[test]
fn a_probe_without_a_byte_is_damaged_and_not_lost() {
    let size = 200;
    for at in 0..size - 16 {
        let mut bytes = probe(1, size);
        bytes.remove(at);
        let at = first_difference(&bytes, &probe(1, size));
        assert_eq!(found(&bytes, size, 1, &[9]), [damaged(1, at, size - 1)], "{at}");
    }
}

#[test]
fn what_precedes_a_damaged_probe_is_foreign() {
    for missing in [1, 8, 30] {
        let bytes = [&b"220 hello\r\n"[..], &probe(1, 100)[missing..], &probe(2, 100)].concat();
        let expected = [Found::Foreign(11), damaged(1, 0, 100 - missing), whole(2)];
        assert_eq!(joined(found(&bytes, 100, 2, &[9])), expected, "{missing}");
    }
}

#[test]
fn an_incomplete_answer_is_counted() {
    for size in [20, 32, 64, 5000] {
        let bytes = [probe(1, size), probe(2, size)].concat();
        for count in [0, 1, 7, 8, 19, 31, 33, 63].into_iter().filter(|count| *count < size) {
            let (mut checker, mut piece) = (Checker::new(RUN, size), &bytes[..size + count]);
            let mut seq = 1;
            while let Some(found) = checker.next(&mut piece, Some(stamp(seq))) {
                assert_eq!(found, whole(seq));
                seq += 1;
            }
            let begun = Some((seq, count)).filter(|_| count > 0);
            assert_eq!(checker.incomplete(Some(stamp(seq))), begun, "{count} of {size}");
        }
    }
    let mut checker = Checker::new(RUN, 64);
    assert_eq!(checker.next(&mut &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Some(stamp(1))), None);
    assert_eq!(checker.incomplete(Some(stamp(1))), None);
    assert_eq!(checker.rest(), Some(Found::Foreign(28)));
}

#[test]
fn half_an_answer_is_no_answer() {
    assert_eq!(found(&probe(1, 64)[..40], 64, 1, &[7]), []);
}

#[test]
fn marks_without_probes_are_foreign_and_cost_no_more_than_other_bytes() {
    let marks = RUN.mark().repeat(1 << 13);
    for size in [32, 64, 1000, 16 << 20] {
        for sent in [0, 1] {
            let seen = joined(found(&marks, size, sent, &[1 << 14]));
            assert!(
                matches!(seen[..], [Found::Foreign(count)] if count + SMALLEST_NUMBERED > marks.len()),
                "{seen:?}"
            );
        }
    }
}

#[test]
fn marks_are_foreign_and_the_probe_among_them_is_whole() {
    for size in [32, 64, 1000] {
        let bytes =
            [RUN.mark().repeat(3), probe(1, size), RUN.mark().repeat(2), probe(2, size)].concat();
        let expected = [Found::Foreign(24), whole(1), Found::Foreign(16), whole(2)];
        assert_eq!(joined(found(&bytes, size, 2, &[13])), expected);
    }
}

#[test]
fn half_an_answer_of_a_small_probe_is_no_answer_either() {
    assert_eq!(found(&probe(1, 20)[..7], 20, 1, &[3]), []);
    assert_eq!(found(&[0; 7], 20, 1, &[3]), [Found::Foreign(7)]);
}

#[test]
fn a_mark_that_is_missing_does_not_hide_the_probe() {
    let mut bytes = [probe(1, 64), probe(2, 64), probe(3, 64)].concat();
    bytes[64..72].fill(0);
    // Two bytes of the mark are zero.
    let expected = [whole(1), damaged(2, 0, 58), whole(3)];
    assert_eq!(found(&bytes, 64, 3, &[9]), expected);
}

proptest! {
    #[test]
    fn anything_may_come(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        size in 1_usize..100,
        sent in 0_u64..5,
        pieces in prop::collection::vec(1_usize..50, 1..5),
    ) {
        let foreign: usize = found(&bytes, size, sent, &pieces).iter().map(|found| match found {
            Found::Foreign(count) => *count,
            _ => 0,
        }).sum();
        prop_assert!(foreign <= bytes.len());
    }

    #[test]
    fn how_it_is_cut_to_pieces_changes_nothing(
        parts in prop::collection::vec((0_u8..9, 1_u64..6, 0_usize..100), 1..8),
        size in prop_oneof![1_usize..100, Just(5000_usize)],
        pieces in prop::collection::vec(1_usize..90, 1..6),
    ) {
        let mut bytes = Vec::new();
        for (kind, seq, at) in parts {
            if kind > 5 {
                // Marks, or heads of a probe, and what looks like one; no bytes of a large probe but these.
                let head = probe(seq, size.min(100));
                bytes.extend(match kind {
                    6 => RUN.mark().repeat(at),
                    7 => head[..head.len().min(at)].repeat(9),
                    _ => [&RUN.mark()[..], &[0; 5]].concat().repeat(at),
                });
                continue;
            }
            let mut part = probe(seq, size);
            match kind {
                0 => part[at % size] ^= 1,
                1 => drop(part.remove(at % size)),
                2 => part = vec![b'T'; at],
                3 => part.truncate(at % size),
                _ => {}
            }
            bytes.extend(part);
        }
        let at_once = joined(found(&bytes, size, 5, &[usize::MAX]));
        prop_assert_eq!(joined(found(&bytes, size, 5, &pieces)), at_once);
    }

    #[test]
    fn what_is_between_probes_is_counted_to_the_byte(
        sizes in prop::collection::vec(0_usize..200, 1..6),
        size in SMALLEST_NUMBERED..100,
        pieces in prop::collection::vec(1_usize..90, 1..6),
    ) {
        // No byte of a mark in it.
        let mut bytes = Vec::new();
        for (index, count) in sizes.iter().enumerate() {
            bytes.extend(probe(index as u64 + 1, size));
            bytes.extend(std::iter::repeat_n(b'.', *count));
        }
        let all = found(&bytes, size, sizes.len() as u64, &pieces);
        let whole = all.iter().filter(|found| matches!(found, Found::Whole(_))).count();
        let foreign: usize = all.iter().map(|found| match found {
            Found::Foreign(count) => *count,
            _ => 0,
        }).sum();
        prop_assert_eq!((whole, foreign), (sizes.len(), sizes.iter().sum::<usize>()));
    }
}
