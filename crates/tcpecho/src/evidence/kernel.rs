//! How long this host's kernel would have retried: its settings (sysctl), and the time that follows from them.
//!
//! The arithmetic is that of `tcp_write_timeout`, `tcp_model_timeout` and `tcp_keepalive_timer` in the kernel's
//! net/ipv4/tcp_timer.c, and of `tcp_probe0_when` in include/net/tcp.h. The settings are those of IPv4 and IPv6 alike. A
//! real timer fires up to an eighth late.

use std::{fs, time::Duration};

use tcpecho_os::sysctl;

use crate::Keepalive;

/// The retransmission timeout before there is a round-trip time (RFC 6298 2.1, `TCP_TIMEOUT_INIT`).
const FIRST_SYN: Duration = Duration::from_secs(1);
/// `TCP_RTO_MIN`: the base of `tcp_retries2`, independent of the real timeout.
const BASE: Duration = Duration::from_millis(200);
/// `TCP_RTO_MAX`, where net.ipv4.tcp_rto_max_ms does not exist (before Linux 6.15).
const RTO_MAX: Duration = Duration::from_secs(120);

/// This host's TCP settings (sysctl); `None` for what cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kernel {
    /// net.ipv4.tcp_syn_retries
    pub syn_retries: Option<u32>,
    /// net.ipv4.tcp_syn_linear_timeouts, from Linux 6.5 on.
    pub syn_linear_timeouts: Option<u32>,
    /// net.ipv4.tcp_retries2
    pub retries2: Option<u32>,
    /// net.ipv4.tcp_rto_max_ms, from Linux 6.15 on.
    pub rto_max: Option<Duration>,
    /// net.ipv4.tcp_keepalive_time, `_intvl` and `_probes`, for sockets that set none of their own.
    pub keepalive: Option<Keepalive>,
    /// net.ipv4.ip_local_port_range, which holds for IPv6 too.
    pub port_range: Option<(u16, u16)>,
}

impl Kernel {
    /// Reads the settings in force for the network namespace of this thread.
    #[must_use]
    pub fn read() -> Self {
        let seconds = |key: &str| number(key).map(|n| Duration::from_secs(n.into()));
        let idle = seconds("tcp_keepalive_time");
        let interval = seconds("tcp_keepalive_intvl");
        let count = number("tcp_keepalive_probes");
        let keepalive = idle.zip(interval).zip(count);
        Kernel {
            syn_retries: number("tcp_syn_retries"),
            syn_linear_timeouts: number("tcp_syn_linear_timeouts"),
            keepalive: keepalive.map(|((idle, interval), count)| Keepalive {
                idle,
                interval,
                count,
            }),
            port_range: port_range(),
            ..Kernel::read_retransmission()
        }
    }

    /// Reads only what [`Kernel::data_wait`] needs.
    #[must_use]
    pub fn read_retransmission() -> Self {
        Kernel {
            retries2: number("tcp_retries2"),
            rto_max: number("tcp_rto_max_ms").map(|ms| Duration::from_millis(ms.into())),
            ..Kernel::default()
        }
    }

    /// Returns the time from the first SYN to ETIMEDOUT of connect(2) if nothing answers.
    #[must_use]
    pub fn syn_wait(&self, user_timeout: Option<Duration>) -> Option<Duration> {
        let retries = self.syn_retries?;
        let linear = self.syn_linear_timeouts.unwrap_or(0);
        let limit = user_timeout.unwrap_or_else(|| self.model(retries, FIRST_SYN));
        let (mut at, mut timeout, mut sent_again) = (Duration::ZERO, FIRST_SYN, 0);
        loop {
            // The first timer runs as it is; later ones are cut to the user's limit.
            let next = at + timeout;
            let cut = user_timeout.filter(|limit| at > Duration::ZERO && next > *limit);
            at = cut.unwrap_or(next);
            if at >= limit || sent_again >= retries + linear {
                return Some(at);
            }
            sent_again += 1;
            if sent_again > linear {
                timeout = (timeout * 2).min(self.longest());
            }
        }
    }

    /// Returns the time from sending data to ETIMEDOUT if nothing answers, with the current retransmission timeout.
    #[must_use]
    pub fn data_wait(&self, rto: Duration, user_timeout: Option<Duration>) -> Option<Duration> {
        let rto = rto.clamp(Duration::from_millis(1), self.longest());
        // The clock starts with the first retransmission.
        if let Some(limit) = user_timeout {
            return Some(rto + limit);
        }
        let limit = self.model(self.retries2?, BASE);
        let (mut since, mut timeout) = (Duration::ZERO, rto);
        // Real timers are late by some percent, so one that is due a hair before the limit ends behind it.
        while since + since / 40 < limit {
            timeout = (timeout * 2).min(self.longest());
            since += timeout;
        }
        Some(rto + since)
    }

    /// Returns the time from the last segment of an idle peer to ETIMEDOUT. A user timeout replaces the number of probes.
    #[must_use]
    pub fn idle_wait(&self, keepalive: Keepalive, user_timeout: Option<Duration>) -> Duration {
        let Keepalive { idle, interval, count } = keepalive;
        match user_timeout {
            None => idle + interval * count,
            Some(limit) => {
                let interval = interval.max(Duration::from_secs(1));
                let beyond = limit.saturating_sub(idle).as_millis();
                let probes = beyond.div_ceil(interval.as_millis()).max(1);
                idle + interval * u32::try_from(probes).unwrap_or(u32::MAX)
            }
        }
    }

    /// Returns when each of the `unanswered` last window probes was sent, counted from the peer's last acknowledgement.
    /// `backoff` is the number of doublings in force; an answer does not reset it.
    pub(crate) fn window_probes(
        &self,
        rto: Duration,
        backoff: u8,
        unanswered: u8,
    ) -> impl Iterator<Item = Duration> {
        let (base, longest) = (rto.max(BASE), self.longest());
        let mut at = Duration::ZERO;
        (backoff.saturating_sub(unanswered)..backoff).map(move |doublings| {
            at += (base * (1 << doublings.min(10))).min(longest);
            at
        })
    }

    /// `tcp_model_timeout`: what a number of retries stands for.
    fn model(&self, retries: u32, base: Duration) -> Duration {
        let longest = self.longest();
        let doublings = (longest.as_millis() / base.as_millis().max(1)).max(1).ilog2();
        let doubled = base * ((2_u32 << retries.min(doublings).min(30)) - 1);
        doubled + longest * retries.saturating_sub(doublings)
    }

    fn longest(&self) -> Duration {
        self.rto_max.unwrap_or(RTO_MAX).max(Duration::from_secs(1))
    }
}

/// Returns how many retransmissions this host's kernel could not send since it was started: a firewall rule of its own
/// that drops makes the sending fail (`TcpExt.TCPRetransFail`).
#[must_use]
pub(crate) fn failed_retransmissions() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/net/netstat").ok()?;
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (rows.next()?, rows.next()?);
    let place = names.split(' ').position(|name| name == "TCPRetransFail")?;
    values.split(' ').nth(place)?.parse().ok()
}

fn number(key: &str) -> Option<u32> {
    sysctl::number(&format!("net.ipv4.{key}"))
}

fn port_range() -> Option<(u16, u16)> {
    let text = sysctl::read("net.ipv4.ip_local_port_range").ok()?;
    let mut ends = text.split_whitespace().map(str::parse);
    Some((ends.next()?.ok()?, ends.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn kernel(syn_retries: u32, linear: u32, retries2: u32, rto_max_ms: u64) -> Kernel {
        Kernel {
            syn_retries: Some(syn_retries),
            syn_linear_timeouts: Some(linear),
            retries2: Some(retries2),
            rto_max: Some(Duration::from_millis(rto_max_ms)),
            ..Kernel::default()
        }
    }

    /// Measured on Linux 6.18: 3.03 s, 3.06 s, 7.1 s, 4.08 s; the default's 131 s is in the kernel's documentation
    /// (Documentation/networking/ip-sysctl.rst, tcp_syn_retries).
    #[test]
    fn a_connect_waits_as_long_as_was_measured() {
        for (kernel, seconds) in [
            (kernel(1, 0, 15, 120_000), 3),
            (kernel(1, 4, 15, 120_000), 3),
            (kernel(2, 0, 15, 120_000), 7),
            (kernel(3, 0, 15, 1000), 4),
            (kernel(1, 0, 15, 1000), 2),
            (kernel(6, 0, 15, 120_000), 127),
            (kernel(6, 4, 15, 120_000), 131),
        ] {
            assert_eq!(kernel.syn_wait(None), Some(SECOND * seconds), "{kernel:?}");
        }
    }

    /// Measured: a user timeout of 500 ms ended it after 1.03 s, one of 1500 ms after 1.53 s.
    #[test]
    fn a_user_timeout_ends_a_connect_no_sooner_than_the_first_timer() {
        let kernel = kernel(6, 4, 15, 120_000);
        let wait = |ms| kernel.syn_wait(Some(Duration::from_millis(ms)));
        assert_eq!(wait(500), Some(SECOND));
        assert_eq!(wait(1500), Some(Duration::from_millis(1500)));
        assert_eq!(wait(500_000), Some(SECOND * 131));
    }

    /// Measured: 1.69, 3.34, 13.4, 937.8, 14.99 and 5.76 s, timers being late by 3 % and with a tail loss probe, which
    /// counts for nothing, before the first retransmission.
    #[test]
    fn unanswered_data_waits_as_long_as_was_measured() {
        let rto = Duration::from_millis(210);
        for (kernel, measured) in [
            (kernel(6, 4, 1, 120_000), 1.69),
            (kernel(6, 4, 2, 120_000), 3.34),
            (kernel(6, 4, 5, 120_000), 13.4),
            (kernel(6, 4, 15, 120_000), 937.8),
            (kernel(6, 4, 15, 1000), 14.99),
            (kernel(6, 4, 5, 1000), 5.76),
        ] {
            let reckoned = kernel.data_wait(rto, None).unwrap().as_secs_f64();
            let tail_loss_probe = 0.21;
            let difference = (measured - tail_loss_probe - reckoned) / measured;
            assert!((-0.03..0.1).contains(&difference), "{kernel:?}: {reckoned} and {measured}");
        }
        // Measured: 2.43 s and 1.44 s.
        let kernel = kernel(6, 4, 15, 120_000);
        assert_eq!(kernel.data_wait(rto, Some(2 * SECOND)), Some(2 * SECOND + rto));
    }

    #[test]
    fn keepalive_counts_probes_unless_there_is_a_user_timeout() {
        let kernel = Kernel::default();
        let keepalive = |idle, interval, count| Keepalive {
            idle: SECOND * idle,
            interval: SECOND * interval,
            count,
        };
        // Measured: 4.02 s, and with a user timeout of two seconds 1.97 s.
        assert_eq!(kernel.idle_wait(keepalive(1, 1, 3), None), 4 * SECOND);
        assert_eq!(kernel.idle_wait(keepalive(1, 1, 3), Some(2 * SECOND)), 2 * SECOND);
        // One probe at least goes out, and a timeout below the idle time does not come sooner.
        assert_eq!(kernel.idle_wait(keepalive(15, 5, 3), Some(SECOND)), 20 * SECOND);
        assert_eq!(kernel.idle_wait(keepalive(15, 5, 3), Some(30 * SECOND)), 30 * SECOND);
    }

    #[test]
    fn window_probes_back_off() {
        let kernel = kernel(6, 4, 15, 120_000);
        let sent = |rto, backoff, unanswered| -> Vec<u128> {
            let probes = kernel.window_probes(Duration::from_millis(rto), backoff, unanswered);
            probes.map(|at| at.as_millis()).collect()
        };
        assert_eq!(sent(208, 3, 3), [208, 624, 1456]);
        assert_eq!(sent(5, 3, 2), [400, 1200], "the first one was answered");
        assert_eq!(sent(200, 0, 3), [] as [u128; 0]);
        assert_eq!(sent(200, 255, 2), [120_000, 240_000]);
    }

    #[test]
    fn any_settings_give_a_result() {
        for retries in [0, 1, 15, 127, 255] {
            for rto_max in [0, 1, 1000, 120_000] {
                let kernel = kernel(retries, 127, retries, rto_max);
                assert!(kernel.syn_wait(None).is_some());
                assert!(kernel.data_wait(Duration::ZERO, None).is_some());
            }
        }
        assert_eq!(Kernel::default().syn_wait(None), None);
    }

    /// In a namespace where no two of them are alike.
    #[test]
    fn each_setting_is_read_from_its_own_file() {
        let settings = [
            ("tcp_syn_retries", "3"),
            ("tcp_syn_linear_timeouts", "5"),
            ("tcp_retries2", "7"),
            ("tcp_rto_max_ms", "11000"),
            ("tcp_keepalive_time", "13"),
            ("tcp_keepalive_intvl", "17"),
            ("tcp_keepalive_probes", "19"),
            ("ip_local_port_range", "40001 50003"),
        ];
        let read = || {
            if let Err(failed) = tcpecho_lab_os::netns::enter_new() {
                println!("SKIP: {failed}");
                return;
            }
            let mut old = Vec::new();
            for (key, value) in settings {
                match tcpecho_os::sysctl::write(&format!("net.ipv4.{key}"), value) {
                    Ok(()) => {}
                    Err(failed) if failed.errno == rustix::io::Errno::NOENT => old.push(key),
                    Err(failed) => panic!("{failed}"),
                }
            }
            let wanted = Kernel {
                syn_retries: Some(3),
                syn_linear_timeouts: (!old.contains(&"tcp_syn_linear_timeouts")).then_some(5),
                retries2: Some(7),
                rto_max: (!old.contains(&"tcp_rto_max_ms")).then_some(11 * SECOND),
                keepalive: Some(Keepalive { idle: 13 * SECOND, interval: 17 * SECOND, count: 19 }),
                port_range: Some((40001, 50003)),
            };
            assert_eq!(Kernel::read(), wanted);
            let Kernel { retries2, rto_max, .. } = wanted;
            let retransmission = Kernel { retries2, rto_max, ..Kernel::default() };
            assert_eq!(Kernel::read_retransmission(), retransmission);
        };
        std::thread::scope(|scope| scope.spawn(read).join()).unwrap();
    }

    #[test]
    fn this_kernel_can_be_read() {
        let kernel = Kernel::read();
        assert!(kernel.syn_wait(None).is_some() && kernel.keepalive.is_some(), "{kernel:?}");
        assert!(failed_retransmissions().is_some());
    }
}
