//! Latencies drawn in the terminal: a bar for each step of time, in equal ratios.

use std::fmt::Write;

use tcpecho_load::Times;

use super::{Summary, look::Look, summary::Distribution};
use crate::bench::histogram::QUANTILES;
use crate::{
    bars::bar,
    units::{count, time},
};

/// Bars at most.
const BARS: usize = 24;
/// Columns of the longest bar.
const WIDTH: usize = 50;
/// Columns of the time, the number and the names of quantiles beside it.
const BESIDE: usize = 40;

/// The plot of the latency that counts; empty without any.
pub(in crate::bench) fn draw(summary: &Summary, look: Look) -> String {
    let Some(times) = summary.primary().map(Distribution::times) else { return String::new() };
    let width = look.room_beside(BESIDE, WIDTH);
    let name = if summary.latency.response.is_some() { "response" } else { "service" };
    let mut text = format!("\n{name} times\n");
    let steps = steps(&times);
    let most = steps.iter().map(|step| step.2).max().unwrap_or(1).max(1);
    for (low, high, number) in steps {
        let marks: Vec<&str> = QUANTILES
            .iter()
            .filter(|(_, q)| times.quantile(*q).is_some_and(|at| at >= low && at < high))
            .map(|(name, _)| *name)
            .collect();
        let line = format!(
            "{:>9} {:<width$} {:>11}  {}",
            time(low as f64),
            bar(number, most, width),
            count(number),
            marks.join(" "),
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Steps of equal ratio from the least to the largest, with how many times lie in each.
fn steps(times: &Times) -> Vec<(u64, u64, u64)> {
    let (Some(min), Some(max)) = (times.min(), times.max()) else { return Vec::new() };
    let (min, max) = (min.max(1) as f64, max as f64 + 1.0);
    // Nothing is told apart below a tenth of a percent.
    let bars = (((max / min).ln() / 1.1_f64.ln()).ceil() as usize).clamp(1, BARS);
    let edge = |place: usize| (min * (max / min).powf(place as f64 / bars as f64)) as u64;
    let mut counted = 0;
    (0..bars)
        .map(|place| {
            let (low, high) = (edge(place), edge(place + 1).max(edge(place) + 1));
            // Cumulative, so that what the histogram cannot tell apart is counted once.
            let so_far = if place + 1 == bars { times.count() } else { times.between(0, high - 1) };
            let number = so_far.saturating_sub(counted);
            counted = counted.max(so_far);
            (low, high, number)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_one_bar() {
        let mut times = Times::new();
        for n in 1..=10_000_u64 {
            times.record(n * n);
        }
        let steps = steps(&times);
        assert_eq!(steps.len(), BARS);
        assert_eq!(steps.iter().map(|step| step.2).sum::<u64>(), 10_000);
        let mut one = Times::new();
        one.record(5);
        assert_eq!(super::steps(&one).iter().map(|step| step.2).sum::<u64>(), 1);
    }
}
