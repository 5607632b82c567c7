//! The times as bars: a row for each step of 1, 2, 5, 10 ..., from the smallest time to the largest.

use std::{fmt::Write, time::Duration};

use tcpecho_probe::Series;

use crate::{bars::bar, units::ms, width::stdout_columns};

/// The longest bar.
const WIDTH: usize = 50;
/// Columns of the times, the number and the share before it.
const BESIDE: usize = 39;

/// The rows, and nothing if there are no times.
pub(super) fn of(series: &Series) -> String {
    let mut text = String::new();
    let rows = rows(series);
    let (most, all) = (rows.iter().map(|row| row.2).max().unwrap_or(0), series.count());
    let width = stdout_columns().map_or(WIDTH, |columns| columns.saturating_sub(BESIDE));
    let width = width.clamp(8, WIDTH);
    for (low, high, count) in rows {
        let bar = bar(count, most, width);
        let share = count as f64 * 100.0 / all as f64;
        let (low, high) = (ms(low), ms(high));
        let row = format!("{low:>7} - {high:>7} ms {count:>9} {share:>5.1}% {bar}");
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

/// Each step, from its smallest time to that of the next, with how many times are in it; nothing if there are no times.
pub(super) fn rows(series: &Series) -> Vec<(Duration, Duration, u64)> {
    if series.count() == 0 {
        return Vec::new();
    }
    let steps = steps(series.min(), series.max());
    let row = |step: &[Duration]| match *step {
        [low, high] => Some((low, high, series.between(low, high))),
        _ => None,
    };
    steps.windows(2).filter_map(row).collect()
}

/// 1, 2, 5 times powers of ten in nanoseconds, the last above `most` and the first not above `least`.
fn steps(least: Duration, most: Duration) -> Vec<Duration> {
    let powers = std::iter::successors(Some(1_000_u64), |power| power.checked_mul(10));
    let all = powers.flat_map(|power| [1, 2, 5].map(|times| power.saturating_mul(times)));
    let all: Vec<Duration> =
        std::iter::once(Duration::ZERO).chain(all.map(Duration::from_nanos)).collect();
    let first = all.partition_point(|step| *step <= least).saturating_sub(1);
    let last = all.partition_point(|step| *step <= most).min(all.len() - 1);
    all.get(first..=last).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_row() {
        let mut series = Series::default();
        for us in [1, 30, 31, 49, 50, 70, 203_000] {
            series.record(Duration::from_micros(us));
        }
        let rows = of(&series);
        let counts = rows.lines().map(|row| row.split_whitespace().nth(4).unwrap());
        assert_eq!(counts.map(|count| count.parse::<u64>().unwrap()).sum::<u64>(), 7, "{rows}");
        assert!(rows.lines().any(|row| row.contains("0.020 -   0.050 ms         3")), "{rows}");
        assert!(rows.lines().last().unwrap().contains("200 -     500 ms         1"), "{rows}");
    }

    #[test]
    fn no_times_no_rows() {
        assert_eq!(of(&Series::default()), "");
        assert_eq!(steps(Duration::ZERO, Duration::MAX).first(), Some(&Duration::ZERO));
    }
}
