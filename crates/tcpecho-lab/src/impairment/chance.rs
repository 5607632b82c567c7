//! Repeatable random decisions: the same seed gives the same result.

/// Takes a random share of packets; the decisions depend only on the seed and on their number.
#[derive(Debug, Clone, PartialEq)]
pub struct Chance {
    percent: f64,
    dice: Dice,
}

impl Chance {
    /// This percentage of packets.
    #[must_use]
    pub fn new(percent: f64, seed: u64) -> Self {
        Chance { percent, dice: Dice::new(seed) }
    }

    /// The percentage.
    #[must_use]
    pub fn percent(&self) -> f64 {
        self.percent
    }

    /// Starts again with this seed.
    pub(crate) fn seed(&mut self, seed: u64) {
        self.dice = Dice::new(seed);
    }

    /// Decides about the next packet.
    pub fn takes(&mut self) -> bool {
        // A double has 53 bits of precision.
        let share = (self.dice.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        share * 100.0 < self.percent
    }
}

/// Pseudo-random numbers from a seed: SplitMix64 (Steele, Lea, Flood, 2014).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// Starts with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % (end.max(1) as u64)) as usize
    }

    /// Shuffles a slice (Fisher and Yates).
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_decisions_and_the_share_is_kept() {
        let taken = |seed| {
            let mut chance = Chance::new(10.0, seed);
            (0..10_000).filter(|_| chance.takes()).collect::<Vec<_>>()
        };
        assert_eq!(taken(7), taken(7));
        assert_ne!(taken(7), taken(8));
        assert!((800..1200).contains(&taken(7).len()), "{}", taken(7).len());
        let always = |percent| (0..1000).filter(|_| Chance::new(percent, 1).takes()).count();
        assert_eq!((always(0.0), always(100.0)), (0, 1000));
    }

    #[test]
    fn dice_match_the_reference_implementation() {
        // The first numbers of the reference implementation for seed 1234567.
        let mut dice = Dice::new(1_234_567);
        assert_eq!(dice.roll(), 6_457_827_717_110_365_317);
        assert_eq!(dice.roll(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn shuffling_loses_nothing() {
        let mut things: Vec<u32> = (0..20).collect();
        Dice::new(3).shuffle(&mut things);
        assert_ne!(things, (0..20).collect::<Vec<_>>());
        things.sort_unstable();
        assert_eq!(things, (0..20).collect::<Vec<_>>());
    }
}
