//! How long the kernel tries before it gives up, computed from its settings; and the timers that a
//! scenario has shortened.
//!
//! The formulas are those of the kernel's timers (tcp_timer.c); the tests contain the totals that
//! the documentation states.

use std::time::Duration;

use tcpecho_os::failed::Failed;
use tcpecho_os::sysctl;

use crate::side::Side;

/// A timer of the kernel that a scenario waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Until connect gives up: `tcp_syn_retries` and `tcp_syn_linear_timeouts`.
    Syn,
    /// Until a connection with unacknowledged data gives up: `tcp_retries2`.
    Retransmission,
    /// Until an idle connection gives up whose peer is silent: `tcp_keepalive_time`, `_intvl`, `_probes`.
    Keepalive,
}

/// A timer and the values of its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The timer.
    pub timer: Timer,
    /// The values of [`Timer::keys`], in the same order.
    pub values: Vec<u64>,
}

/// A timer that a scenario has shortened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortened {
    /// The host.
    pub side: Side,
    /// This machine's own setting.
    pub own: Setting,
    /// The setting in the run.
    pub here: Setting,
}

/// The longest wait between two retransmissions, unless `tcp_rto_max_ms` says otherwise.
const RTO_MAX: Duration = Duration::from_secs(120);
/// The first RTO that `tcp_retries2` is computed with, whatever the connection's own is
/// (`TCP_RTO_MIN`).
const RTO_MIN: Duration = Duration::from_millis(200);
/// The first wait for the answer to a SYN (`TCP_TIMEOUT_INIT`).
const FIRST: Duration = Duration::from_secs(1);

impl Timer {
    /// The sysctls of this timer.
    #[must_use]
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Timer::Syn => &["net.ipv4.tcp_syn_retries", "net.ipv4.tcp_syn_linear_timeouts"],
            Timer::Retransmission => &["net.ipv4.tcp_retries2"],
            Timer::Keepalive => &[
                "net.ipv4.tcp_keepalive_time",
                "net.ipv4.tcp_keepalive_intvl",
                "net.ipv4.tcp_keepalive_probes",
            ],
        }
    }

    /// This machine's own setting: that of the network namespace of the calling thread.
    ///
    /// # Errors
    /// `ENOENT` if the kernel has no such setting; a newer one, which it does not have, counts as
    /// 0.
    pub fn own(self) -> Result<Setting, Failed> {
        let value = |key: &&str| match sysctl::read(key) {
            Ok(value) => Ok(value.parse().unwrap_or(0)),
            Err(failed)
                if key.ends_with("linear_timeouts")
                    && tcpecho_lab_os::netns::is_missing(failed.errno) =>
            {
                Ok(0)
            }
            Err(failed) => Err(failed),
        };
        let values = self.keys().iter().map(value).collect::<Result<_, _>>()?;
        Ok(Setting { timer: self, values })
    }
}

impl Setting {
    /// The minimum time that the kernel tries before it gives up.
    #[must_use]
    pub fn time(&self) -> Duration {
        match (self.timer, self.values.as_slice()) {
            (Timer::Syn, [retries, linear, ..]) => connect_time(*retries, *linear, rto_max()),
            (Timer::Retransmission, [retries, ..]) => model(*retries, RTO_MIN, rto_max()),
            (Timer::Keepalive, [time, interval, probes, ..]) => {
                Duration::from_secs(time.saturating_add(interval.saturating_mul(*probes)))
            }
            _ => Duration::ZERO,
        }
    }
}

impl Shortened {
    /// The factor by which it was shortened.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.own.time().as_secs_f64() / self.here.time().as_secs_f64().max(0.001)
    }

    /// Each setting that was changed: its name, this machine's value, and the run's.
    pub fn changed(&self) -> impl Iterator<Item = (&'static str, u64, u64)> + '_ {
        let values = self.own.values.iter().zip(&self.here.values);
        let rows = self.own.timer.keys().iter().zip(values);
        rows.map(|(key, (own, here))| (*key, *own, *here)).filter(|(_, own, here)| own != here)
    }
}

fn rto_max() -> Duration {
    let own = sysctl::number("net.ipv4.tcp_rto_max_ms");
    own.map_or(RTO_MAX, Duration::from_millis)
}

/// `tcp_model_timeout`: retries + 1 waits, which double from `base` up to `longest`.
fn model(retries: u64, base: Duration, longest: Duration) -> Duration {
    let mut wait = base;
    let mut whole = Duration::ZERO;
    // The kernel accepts at most 255.
    for _ in 0..=retries.min(255) {
        whole += wait;
        wait = (wait * 2).min(longest.max(base));
    }
    whole
}

/// The time until connect gives up: the timer expires after 1 s, then as often as `linear` says
/// after 1 s, then after doubling waits. connect fails at the first expiry at which the SYN was
/// retransmitted often enough, or for long enough.
fn connect_time(retries: u64, linear: u64, longest: Duration) -> Duration {
    let (retries, linear) = (retries.min(255), linear.min(255));
    let enough = model(retries, FIRST, longest);
    let (mut elapsed, mut wait) = (FIRST, FIRST);
    for sent_again in 0..retries + linear {
        if elapsed >= enough {
            break;
        }
        if sent_again >= linear {
            wait = (wait * 2).min(longest);
        }
        elapsed += wait;
    }
    elapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn retransmission_takes_what_the_documentation_says() {
        // Documentation/networking/ip-sysctl.rst: the default of 15 yields a hypothetical timeout of 924.6 s.
        assert_eq!(model(15, RTO_MIN, RTO_MAX), seconds(924.6));
        // ((2 << n) - 1) * 200 ms.
        assert_eq!(model(1, RTO_MIN, RTO_MAX), seconds(0.6));
        assert_eq!(model(3, RTO_MIN, RTO_MAX), seconds(3.0));
        assert_eq!(model(8, RTO_MIN, RTO_MAX), seconds(102.2));
        assert_eq!(model(15, RTO_MIN, seconds(1.0)), seconds(0.2 + 0.4 + 0.8 + 13.0));
        assert!(model(u64::MAX, RTO_MIN, RTO_MAX) < seconds(31_000.0));
    }

    #[test]
    fn connecting_takes_what_the_documentation_says() {
        // The same document: 67 s until the last SYN and 131 s in all, with 6 retries and 4 linear
        // timeouts; 127 s without.
        assert_eq!(connect_time(6, 4, RTO_MAX), seconds(131.0));
        assert_eq!(connect_time(6, 0, RTO_MAX), seconds(127.0));
        // Measured: SYNs at 0, 1 (and 2 with linear timeouts), and the end after 3 s.
        assert_eq!(connect_time(1, 0, RTO_MAX), seconds(3.0));
        assert_eq!(connect_time(1, 4, RTO_MAX), seconds(3.0));
        assert_eq!(connect_time(2, 0, RTO_MAX), seconds(7.0));
    }

    #[test]
    fn a_shortened_timer_reports_its_settings() {
        let setting = |values: &[u64]| Setting { timer: Timer::Keepalive, values: values.into() };
        let shortened = Shortened {
            side: Side::Client,
            own: setting(&[7200, 75, 9]),
            here: setting(&[1, 1, 9]),
        };
        assert_eq!(shortened.own.time(), seconds(7875.0));
        assert!((shortened.factor() - 787.5).abs() < 0.01);
        let changed: Vec<_> = shortened.changed().collect();
        assert_eq!(
            changed,
            [("net.ipv4.tcp_keepalive_time", 7200, 1), ("net.ipv4.tcp_keepalive_intvl", 75, 1)]
        );
    }
}
