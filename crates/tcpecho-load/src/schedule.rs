//! When a request is due. The schedule is absolute: neither the server nor the generator moves it, so that a
//! stall shows in every request that was due meanwhile. This avoids coordinated omission, as wrk2 does.

/// A request schedule: requests per second of the whole run, over all connections, threads and machines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// A constant rate.
    Steady(f64),
    /// A rate that changes linearly, and then stays as it is.
    Ramp {
        /// Requests per second at the start.
        from: f64,
        /// Requests per second at the end of the ramp and after it.
        to: f64,
        /// Length of the ramp in nanoseconds.
        over: f64,
    },
}

impl Schedule {
    /// Returns when request `n` is due, in nanoseconds from the start of the schedule. Counts from 0.
    #[must_use]
    pub fn due(self, n: u64) -> u64 {
        let n = n as f64;
        match self {
            Schedule::Steady(rate) => (n * 1e9 / rate) as u64,
            Schedule::Ramp { from, to, over } => {
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

    /// Returns the rate at a time in nanoseconds from the start of the schedule.
    #[must_use]
    pub fn rate_at(self, at: u64) -> f64 {
        match self {
            Schedule::Steady(rate) => rate,
            Schedule::Ramp { from, to, over } => from + (to - from) * (at as f64 / over).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_pace_does_not_drift() {
        let schedule = Schedule::Steady(3.0);
        assert_eq!(
            (schedule.due(0), schedule.due(1), schedule.due(3)),
            (0, 333_333_333, 1_000_000_000)
        );
        assert_eq!(Schedule::Steady(1e6).due(3_600_000_000), 3_600_000_000_000);
    }

    #[test]
    fn a_ramp_has_its_requests_where_its_rate_says() {
        let schedule = Schedule::Ramp { from: 100.0, to: 300.0, over: 2e9 };
        // 150 in the first second, 250 in the second, 300 in the third.
        let count = |until: u64| (0..10_000).take_while(|n| schedule.due(*n) < until).count();
        assert_eq!((count(1_000_000_000), count(2_000_000_000)), (150, 400));
        assert_eq!(count(3_000_000_000), 700);
        assert!((schedule.rate_at(1_000_000_000) - 200.0).abs() < 1e-9);
        let down = Schedule::Ramp { from: 300.0, to: 100.0, over: 2e9 };
        assert!((0..400).all(|n| down.due(n) <= down.due(n + 1)));
        assert_eq!((0..10_000).take_while(|n| down.due(*n) < 1_000_000_000).count(), 250);
    }
}
