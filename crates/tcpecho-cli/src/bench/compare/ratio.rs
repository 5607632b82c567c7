//! How many times better one server was than another, from the ratios of interleaved rounds, and whether that is more than
//! noise.
//!
//! The rule is the trimmed-mean test of Tukey and McLaughlin ("Less vulnerable confidence and significance procedures for
//! location based on a single sample", Sankhyā A 25, 1963), on the logarithms of the ratios:
//!
//! * Each round gives one ratio, of two visits that followed each other, so that a slow phase of the machine is in both.
//!   Logarithms make "twice" and "half" equally far from "equal"; the mean of logarithms is the geometric mean.
//! * A fifth of the rounds at each end is left out of the mean, and counts for the deviation as the nearest round that is
//!   kept. So one outlier of five rounds, however large, changes neither.
//! * The interval is that of Student's t with one degree of freedom less than the rounds that are kept. Two servers are
//!   different if it does not contain 1. Of equal servers, about one pair in twenty is called different.
//!
//! An interval from fewer than three rounds would be useless: with two, it is more than seven times as wide as from five.

use std::fmt;

/// Fewer rounds cannot tell a difference from noise.
pub(super) const LEAST_ROUNDS: usize = 3;
/// The share of the rounds that is left out at each end.
const TRIMMED: f64 = 0.2;
/// The 97.5th percentile of Student's t for 1, 2, 3 ... degrees of freedom: two sides of a 95 % interval.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The ratio of the best server to another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    /// The trimmed geometric mean of the rounds.
    pub(super) mean: f64,
    /// The 95 % interval; none from fewer rounds than [`LEAST_ROUNDS`].
    pub(super) interval: Option<(f64, f64)>,
    /// How many rounds it is from.
    pub(super) rounds: usize,
    /// Whether the best one is below the figure that this is a ratio to.
    pub(super) at_least: bool,
}

/// What the rounds say about two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The best one was better.
    Different,
    /// The interval contains 1.
    Noise,
    /// There were too few rounds.
    Unknown,
}

impl Ratio {
    /// The ratio of these rounds, each more than 0; `None` without any.
    pub(super) fn of(rounds: &[f64]) -> Option<Self> {
        let mut logs: Vec<f64> = rounds.iter().map(|ratio| ratio.ln()).collect();
        logs.retain(|log| log.is_finite());
        logs.sort_by(f64::total_cmp);
        let count = logs.len();
        let cut = (TRIMMED * count as f64) as usize;
        let kept = logs.get(cut..count - cut).filter(|kept| !kept.is_empty())?;
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        let interval = (count >= LEAST_ROUNDS).then(|| {
            let half = half_width(&logs, kept);
            ((mean - half).exp(), (mean + half).exp())
        });
        Some(Ratio { mean: mean.exp(), interval, rounds: count, at_least: false })
    }

    /// Decides by the digits that are shown: 1.004 is 1.00.
    pub(super) fn verdict(&self) -> Verdict {
        match self.interval {
            None => Verdict::Unknown,
            Some((low, _)) if (low * 100.0).round() > 100.0 => Verdict::Different,
            Some(_) => Verdict::Noise,
        }
    }

    /// The interval in words.
    pub(super) fn range(&self) -> String {
        self.interval.map_or_else(String::new, |(low, high)| format!("{low:.2} to {high:.2}"))
    }

    /// The ratio and its interval, for a table.
    pub(super) fn cell(&self) -> String {
        match self.interval {
            Some((low, high)) => format!("{self} ({low:.2}-{high:.2})"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:.2}", if self.at_least { "> " } else { "" }, self.mean)
    }
}

/// Half the width of the interval about the mean of `kept`, which are those of the sorted `all` that are not left out.
fn half_width(all: &[f64], kept: &[f64]) -> f64 {
    let (low, high) = (kept[0], kept[kept.len() - 1]);
    let (n, h) = (all.len() as f64, kept.len() as f64);
    // Winsorized: what is left out is moved to the nearest that is kept.
    let moved = || all.iter().map(|log| log.clamp(low, high));
    let middle = moved().sum::<f64>() / n;
    let squares: f64 = moved().map(|log| (log - middle).powi(2)).sum();
    let student = STUDENT[(kept.len() - 1).min(STUDENT.len()) - 1];
    student * (squares / (h * (h - 1.0))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rounds: &[f64]) -> Verdict {
        Ratio::of(rounds).unwrap().verdict()
    }

    #[test]
    fn means_and_intervals() {
        let ratio = Ratio::of(&[1.0, 1.1, 1.21]).unwrap();
        assert!((ratio.mean - 1.1).abs() < 1e-9, "{ratio:?}");
        // The logarithms are 0, 1 and 2 times ln 1.1: the interval is 1 ± 4.303 / √3 of that.
        let half = 4.303 / 3_f64.sqrt();
        let (low, high) = ratio.interval.unwrap();
        assert!((low.ln() / 1.1_f64.ln() - (1.0 - half)).abs() < 1e-9, "{low}");
        assert!((high.ln() / 1.1_f64.ln() - (1.0 + half)).abs() < 1e-9, "{high}");
        assert_eq!(Ratio::of(&[]), None);
        assert_eq!(Ratio::of(&[f64::INFINITY, 0.0]), None);
    }

    #[test]
    fn a_clear_difference_is_seen_beside_one_outlier_of_five() {
        for outlier in [0.01, 0.5, 1.0, 1.7, 6.6, 100.0] {
            for place in 0..5 {
                let mut rounds = [1.18, 1.22, 1.20, 1.19, 1.21];
                rounds[place] = outlier;
                assert_eq!(verdict(&rounds), Verdict::Different, "{rounds:?}");
            }
        }
        assert_eq!(verdict(&[1.18, 0.4, 0.5, 1.19, 1.21]), Verdict::Noise);
    }

    #[test]
    fn two_rounds_cannot_tell() {
        assert_eq!(verdict(&[2.0]), Verdict::Unknown);
        assert_eq!(verdict(&[2.0, 2.0]), Verdict::Unknown);
        assert_eq!(verdict(&[2.0, 2.0, 2.0]), Verdict::Different);
    }

    /// Decided by the digits that are shown.
    #[test]
    fn less_than_a_hundredth_is_no_difference() {
        assert_eq!(verdict(&[1.004; 3]), Verdict::Noise);
        assert_eq!(verdict(&[1.0; 5]), Verdict::Noise);
        assert_eq!(verdict(&[1.01; 5]), Verdict::Different);
    }

    /// Numbers between 0 and 1 (splitmix64).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (bits ^ (bits >> 31)) as f64 / u64::MAX as f64
        }

        /// A throughput: normal, with a deviation of 10 %; `slow` is the share of visits at a third of it.
        fn throughput(&mut self, slow: f64) -> f64 {
            let normal = (0..12).map(|_| self.next()).sum::<f64>() - 6.0;
            let held_up = if self.next() < slow { 1.0 / 3.0 } else { 1.0 };
            (1.0 + 0.1 * normal).max(0.1) * held_up
        }
    }

    /// How many of 4000 comparisons of this many rounds find that one of two servers is better, if the second has `faster`
    /// times the throughput of the first.
    fn found(rounds: usize, slow: f64, faster: f64) -> usize {
        let mut random = Random(rounds as u64);
        let mut comparison = || {
            let mut visit = || (random.throughput(slow), random.throughput(slow) * faster);
            let ratios: Vec<f64> = (0..rounds).map(|_| visit()).map(|(a, b)| b / a).collect();
            let better = Ratio::of(&ratios).unwrap();
            let inverse: Vec<f64> = ratios.iter().map(|ratio| 1.0 / ratio).collect();
            let worse = Ratio::of(&inverse).unwrap();
            [better, worse].iter().any(|ratio| ratio.verdict() == Verdict::Different)
        };
        (0..4000).filter(|_| comparison()).count()
    }

    #[test]
    fn one_pair_of_equal_servers_in_twenty_is_called_different() {
        for rounds in [3, 4, 5, 7, 10, 20] {
            for slow in [0.0, 0.1] {
                let found = found(rounds, slow, 1.0);
                assert!(found <= 4000 * 6 / 100, "{rounds} rounds, {slow}: {found} of 4000");
            }
        }
    }

    #[test]
    fn more_rounds_find_more() {
        let found = [5, 10, 20].map(|rounds| found(rounds, 0.1, 1.3));
        assert!(found[0] > 1000 && found[1] > 2500 && found[2] > 3600, "{found:?}");
    }
}
