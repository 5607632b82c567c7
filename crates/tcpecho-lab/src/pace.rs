//! How long the kernel tries before it gives up, computed from its settings; and the timers that a
//! scenario has shortened.
//!
//! The formulas are in `tcpecho_os::tcp_timer`, which the client's diagnosis uses too.

use std::time::Duration;

use tcpecho_os::failed::Failed;
use tcpecho_os::sysctl;
use tcpecho_os::tcp_timer::{RTO_MAX, RTO_MIN, connect_time, keepalive_time, model};

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
    /// Until an end without a process that waits for a FIN is dropped: `tcp_fin_timeout`.
    FinWait2,
    /// Until an end without a process gives up that probes a closed window: `tcp_rto_max_ms` and
    /// `tcp_orphan_retries`.
    OrphanedProbes,
    /// Until retransmissions are taken for those of an MTU black hole: `tcp_retries1`.
    BlackHole,
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
            Timer::FinWait2 => &["net.ipv4.tcp_fin_timeout"],
            Timer::OrphanedProbes => &["net.ipv4.tcp_rto_max_ms", "net.ipv4.tcp_orphan_retries"],
            Timer::BlackHole => &["net.ipv4.tcp_retries1"],
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
            (Timer::Syn, [retries, linear, ..]) => {
                connect_time(count(*retries), count(*linear), rto_max(), None)
            }
            (Timer::Retransmission | Timer::BlackHole, [retries, ..]) => {
                model(count(*retries), RTO_MIN, rto_max())
            }
            (Timer::FinWait2, [time, ..]) => Duration::from_secs(*time),
            // The last interval is the longest one; how many come before depends on the RTO.
            (Timer::OrphanedProbes, [longest, retries, ..]) => {
                let longest = Duration::from_millis(*longest);
                model(count(*retries), RTO_MIN, longest).max(longest)
            }
            (Timer::Keepalive, [time, interval, probes, ..]) => {
                let (time, interval) = (Duration::from_secs(*time), Duration::from_secs(*interval));
                keepalive_time(time, interval, count(*probes), None)
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

/// A number of retries or probes, of which the kernel accepts at most 255.
fn count(value: u64) -> u32 {
    value.min(255) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_times_of_ends_without_a_process() {
        let time = |timer, values: &[u64]| Setting { timer, values: values.into() }.time();
        assert_eq!(time(Timer::FinWait2, &[60]), seconds(60.0));
        assert_eq!(time(Timer::OrphanedProbes, &[120_000, 0]), seconds(120.0));
        assert_eq!(time(Timer::OrphanedProbes, &[1000, 8]), seconds(7.4));
        assert_eq!(time(Timer::BlackHole, &[3]), seconds(3.0));
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
