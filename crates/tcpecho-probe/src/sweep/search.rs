//! Finds the largest number for which something holds, by doubling and then bisection.

/// A search: it names a number to try and takes the result, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Search {
    first: u64,
    most: u64,
    /// The result is right to one part in this many, or to `grain` if that is more.
    precision: u64,
    grain: u64,
    good: u64,
    bad: Option<u64>,
}

impl Search {
    /// Creates a search from `first` to `most`. The result is right to one part in `precision`, or to `grain` if that is more.
    pub(super) fn new(first: u64, most: u64, precision: u64, grain: u64) -> Self {
        let (most, grain) = (most.max(1), grain.max(1));
        let first = first.clamp(1, most);
        Search { first, most, precision: precision.max(1), grain, good: 0, bad: None }
    }

    /// Returns what to try next; `None` when the search is over.
    pub(super) fn next(&self) -> Option<u64> {
        match self.bad {
            None if self.good >= self.most => None,
            None if self.good == 0 => Some(self.first),
            None => Some(self.good.saturating_mul(2).min(self.most)),
            Some(bad) => {
                let (gap, enough) = (bad - self.good, (self.good / self.precision).max(self.grain));
                (gap > enough).then(|| self.good + gap / 2)
            }
        }
    }

    /// Notes that it holds for this number.
    pub(super) fn holds(&mut self, number: u64) {
        self.good = self.good.max(number.min(self.bad.map_or(self.most, |bad| bad - 1)));
    }

    /// Notes that it does not hold for this number.
    pub(super) fn fails(&mut self, number: u64) {
        let number = number.max(self.good.saturating_add(1));
        self.bad = Some(self.bad.map_or(number, |bad| bad.min(number)));
    }

    /// Returns the largest number for which it holds; 0 if there is none.
    pub(super) fn good(&self) -> u64 {
        self.good
    }

    /// Returns the smallest number for which it does not hold.
    pub(super) fn bad(&self) -> Option<u64> {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches to the end, and returns the number of tries.
    fn play(search: &mut Search, limit: u64) -> usize {
        let mut tries = 0;
        while let Some(number) = search.next() {
            if number <= limit {
                search.holds(number);
            } else {
                search.fails(number);
            }
            tries += 1;
            assert!(tries < 200, "{search:?}");
        }
        tries
    }

    #[test]
    fn doubling_then_bisection() {
        let mut search = Search::new(64, 65536, u64::MAX, 1);
        assert_eq!(play(&mut search, 1360), 16);
        assert_eq!((search.good(), search.bad()), (1360, Some(1361)));
    }

    #[test]
    fn a_search_without_a_limit_ends_at_the_maximum() {
        let mut search = Search::new(64, 1000, u64::MAX, 1);
        play(&mut search, u64::MAX);
        assert_eq!((search.good(), search.bad()), (1000, None));
    }

    proptest! {
        #[test]
        fn every_limit_is_found(
            limit in 0_u64..100_000,
            first in 0_u64..2000,
            most in 0_u64..100_000,
            precision in 1_u64..100,
            grain in 0_u64..50,
        ) {
            let mut search = Search::new(first, most, precision, grain);
            play(&mut search, limit);
            let most = most.max(1);
            if limit >= most {
                prop_assert_eq!((search.good(), search.bad()), (most, None));
            } else {
                let bad = search.bad().unwrap();
                prop_assert!(search.good() <= limit && limit < bad);
                prop_assert!(bad - search.good() <= (search.good() / precision).max(grain).max(1));
            }
        }

        #[test]
        fn no_history_panics(
            history in prop::collection::vec((any::<bool>(), any::<u64>()), 0..50),
            first in any::<u64>(),
            most in any::<u64>(),
        ) {
            let mut search = Search::new(first, most, 20, 1);
            for (holds, number) in history {
                let number = search.next().unwrap_or(number);
                if holds { search.holds(number) } else { search.fails(number) }
            }
        }
    }
}
