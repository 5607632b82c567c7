//! A list that keeps its beginning and its end, so that its memory has a limit whatever a program
//! does.

use std::collections::VecDeque;

/// The number of bytes kept of the beginning and of the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// Items numbered from 0 in the order of arrival; items in the middle are dropped when there are
/// too many.
#[derive(Debug)]
pub(crate) struct Ends<T> {
    limits: Limits,
    /// The beginning, and the items of the middle that must be kept.
    first: Vec<(usize, T)>,
    last: VecDeque<Last<T>>,
    first_bytes: usize,
    last_bytes: usize,
    count: usize,
}

#[derive(Debug)]
struct Last<T> {
    number: usize,
    item: T,
    bytes: usize,
    /// Whether it may be dropped.
    dispensable: bool,
}

impl<T> Ends<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        let (first, last) = (Vec::new(), VecDeque::new());
        Ends { limits, first, last, first_bytes: 0, last_bytes: 0, count: 0 }
    }

    /// Changes the limits for items that arrive from now on.
    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds an item of this size in bytes. `left_out` gets the items that are dropped for it; an
    /// item that is not `dispensable` is never dropped and does not count.
    pub(crate) fn push(
        &mut self,
        item: T,
        bytes: usize,
        dispensable: bool,
        mut left_out: impl FnMut(T),
    ) {
        let number = self.count;
        self.count += 1;
        if self.last.is_empty() && self.first_bytes + bytes <= self.limits.first {
            self.first_bytes += bytes;
            self.first.push((number, item));
            return;
        }
        self.last_bytes += bytes;
        self.last.push_back(Last { number, item, bytes, dispensable });
        while self.last_bytes > self.limits.last
            && self.last.len() > 1
            && let Some(oldest) = self.last.pop_front()
        {
            self.last_bytes -= oldest.bytes;
            if oldest.dispensable {
                left_out(oldest.item);
            } else {
                self.first.push((oldest.number, oldest.item));
            }
        }
    }

    /// The number of items that ever arrived, which is the number of the next.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The kept items from this number on, with their numbers.
    pub(crate) fn since(&self, number: usize) -> impl Iterator<Item = (usize, &T)> {
        let first = self.first.partition_point(|(other, _)| *other < number);
        let last = self.last.partition_point(|last| last.number < number);
        let first = self.first[first..].iter().map(|(number, item)| (*number, item));
        first.chain(self.last.range(last..).map(|last| (last.number, &last.item)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(ends: &Ends<u32>, since: usize) -> Vec<usize> {
        ends.since(since)
            .inspect(|(number, item)| assert_eq!(*number, **item as usize))
            .map(|(number, _)| number)
            .collect()
    }

    #[test]
    fn the_middle_goes_first_and_what_must_be_kept_stays() {
        let mut ends = Ends::new(Limits { first: 30, last: 30 });
        let mut left_out = Vec::new();
        for number in 0..10 {
            ends.push(number, 10, number != 4, |item| left_out.push(item));
        }
        assert_eq!(numbers(&ends, 0), [0, 1, 2, 4, 7, 8, 9]);
        assert_eq!(left_out, [3, 5, 6]);
        assert_eq!(numbers(&ends, 3), [4, 7, 8, 9]);
        assert_eq!(numbers(&ends, 8), [8, 9]);
        assert_eq!((ends.count(), numbers(&ends, 10)), (10, vec![]));
    }

    #[test]
    fn an_item_larger_than_the_limits_is_kept_until_the_next() {
        let mut ends = Ends::new(Limits { first: 5, last: 5 });
        ends.push(0, 100, true, |_| panic!());
        assert_eq!(numbers(&ends, 0), [0]);
        ends.push(1, 1, true, |item| assert_eq!(item, 0));
        assert_eq!(numbers(&ends, 0), [1]);
    }

    #[test]
    fn a_million_items_take_no_more_than_the_limits() {
        let mut ends = Ends::new(Limits { first: 1000, last: 1000 });
        let mut left_out = 0;
        for number in 0..1_000_000 {
            ends.push(number, 10, true, |_| left_out += 1);
        }
        assert_eq!((ends.since(0).count(), left_out), (200, 999_800));
        assert!(ends.first.capacity() < 1000 && ends.last.capacity() < 1000);
    }
}
