//! When a request is due. The schedule is absolute: what the server or the generator does cannot
//! move it, so a stall shows in every request that was due meanwhile (what wrk2 calls the cure of
//! coordinated omission).

/// Requests a second over the whole run, all threads and shards together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// The same from the first to the last.
    Steady(f64),
    /// From one rate to another, evenly, over so many nanoseconds, and then on at the last.
    Ramp { from: f64, to: f64, over: f64 },
}

impl Pace {
    /// Nanoseconds from the start of the schedule at which request `n` is due, counted from 0.
    pub(super) fn due(self, n: u64) -> u64 {
        let n = n as f64;
        match self {
            Pace::Steady(rate) => (n * 1e9 / rate) as u64,
            Pace::Ramp { from, to, over } => {
                let seconds = over / 1e9;
                let in_ramp = f64::midpoint(from, to) * seconds;
                if n >= in_ramp {
                    return (over + (n - in_ramp) * 1e9 / to) as u64;
                }
                // n = from t + slope t^2 / 2, solved for t in the form that bears slope 0.
                let slope = (to - from) / seconds;
                let t = 2.0 * n / (from + (from * from + 2.0 * slope * n).max(0.0).sqrt());
                (t * 1e9) as u64
            }
        }
    }

    /// The rate in force so many nanoseconds after the start.
    pub(super) fn rate_at(self, at: u64) -> f64 {
        match self {
            Pace::Steady(rate) => rate,
            Pace::Ramp { from, to, over } => from + (to - from) * (at as f64 / over).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_pace_does_not_drift() {
        let pace = Pace::Steady(3.0);
        assert_eq!((pace.due(0), pace.due(1), pace.due(3)), (0, 333_333_333, 1_000_000_000));
        assert_eq!(Pace::Steady(1e6).due(3_600_000_000), 3_600_000_000_000);
    }

    #[test]
    fn a_ramp_has_its_requests_where_its_rate_says() {
        let pace = Pace::Ramp { from: 100.0, to: 300.0, over: 2e9 };
        // 150 in the first second, 250 in the second, 300 in the third.
        let count = |until: u64| (0..10_000).take_while(|n| pace.due(*n) < until).count();
        assert_eq!((count(1_000_000_000), count(2_000_000_000)), (150, 400));
        assert_eq!(count(3_000_000_000), 700);
        assert!((pace.rate_at(1_000_000_000) - 200.0).abs() < 1e-9);
        let down = Pace::Ramp { from: 300.0, to: 100.0, over: 2e9 };
        assert!((0..400).all(|n| down.due(n) <= down.due(n + 1)));
        assert_eq!((0..10_000).take_while(|n| down.due(*n) < 1_000_000_000).count(), 250);
    }
}
