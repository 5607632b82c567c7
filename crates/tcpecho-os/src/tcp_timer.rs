//! How long the kernel's TCP timers take, computed from their settings: the arithmetic of net/ipv4/tcp_timer.c and
//! include/net/tcp.h. It is the same for IPv4 and IPv6. A real timer fires up to an eighth late.

use std::time::Duration;

/// The retransmission timeout before there is a round-trip time (RFC 6298 2.1, `TCP_TIMEOUT_INIT`).
pub const FIRST_RTO: Duration = Duration::from_secs(1);
/// `TCP_RTO_MIN`: the base of `tcp_retries2` and of window probes, independent of the real timeout.
pub const RTO_MIN: Duration = Duration::from_millis(200);
/// `TCP_RTO_MAX`, where `net.ipv4.tcp_rto_max_ms` does not exist (before Linux 6.15).
pub const RTO_MAX: Duration = Duration::from_secs(120);

/// Returns what a number of retries stands for (`tcp_model_timeout`): one wait more than retries, from `base` on, each twice
/// as long as the one before up to `longest`.
#[must_use]
pub fn model(retries: u32, base: Duration, longest: Duration) -> Duration {
    let doublings = (longest.as_millis() / base.as_millis().max(1)).max(1).ilog2();
    let doubled = base * ((2_u32 << retries.min(doublings).min(30)) - 1);
    doubled + longest * retries.saturating_sub(doublings)
}

/// Returns the time from the first SYN to ETIMEDOUT of connect(2) if nothing answers, with the settings `tcp_syn_retries`
/// and `tcp_syn_linear_timeouts` and perhaps a TCP_USER_TIMEOUT.
#[must_use]
pub fn connect_time(
    retries: u32,
    linear: u32,
    longest: Duration,
    user_timeout: Option<Duration>,
) -> Duration {
    // The kernel accepts at most 255.
    let (retries, linear) = (retries.min(255), linear.min(255));
    let limit = user_timeout.unwrap_or_else(|| model(retries, FIRST_RTO, longest));
    let (mut at, mut timeout, mut sent_again) = (Duration::ZERO, FIRST_RTO, 0);
    loop {
        // The first timer runs as it is; later ones are cut to the user's limit.
        let next = at + timeout;
        let cut = user_timeout.filter(|limit| at > Duration::ZERO && next > *limit);
        at = cut.unwrap_or(next);
        if at >= limit || sent_again >= retries + linear {
            return at;
        }
        sent_again += 1;
        if sent_again > linear {
            timeout = (timeout * 2).min(longest);
        }
    }
}

/// Returns the time from sending data to ETIMEDOUT if nothing answers, with the setting `tcp_retries2` and the current
/// retransmission timeout.
#[must_use]
pub fn data_time(retries: u32, rto: Duration, longest: Duration) -> Duration {
    let limit = model(retries, RTO_MIN, longest);
    // The clock starts with the first retransmission.
    let (mut since, mut timeout) = (Duration::ZERO, rto);
    // Real timers are late by some percent, so one that is due a hair before the limit ends behind it.
    while since + since / 40 < limit {
        timeout = (timeout * 2).min(longest);
        since += timeout;
    }
    rto + since
}

/// Returns the time from the last segment of an idle peer to ETIMEDOUT (`tcp_keepalive_timer`). A user timeout replaces the
/// number of probes.
#[must_use]
pub fn keepalive_time(
    idle: Duration,
    interval: Duration,
    probes: u32,
    user_timeout: Option<Duration>,
) -> Duration {
    let probes = match user_timeout {
        None => probes,
        Some(limit) => {
            let interval = interval.max(Duration::from_secs(1)).as_millis();
            let beyond = limit.saturating_sub(idle).as_millis();
            u32::try_from(beyond.div_ceil(interval).max(1)).unwrap_or(u32::MAX)
        }
    };
    idle.saturating_add(interval.saturating_mul(probes))
}

/// Returns when each of the `unanswered` last window probes was sent, counted from the peer's last acknowledgement
/// (`tcp_probe0_when`). `backoff` is the number of doublings in force, which an answer does not reset.
pub fn window_probes(
    rto: Duration,
    backoff: u8,
    unanswered: u8,
    longest: Duration,
) -> impl Iterator<Item = Duration> {
    let base = rto.max(RTO_MIN);
    let mut at = Duration::ZERO;
    (backoff.saturating_sub(unanswered)..backoff).map(move |doublings| {
        at += (base * (1 << doublings.min(10))).min(longest);
        at
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Documentation/networking/ip-sysctl.rst: the default of 15 yields a hypothetical timeout of 924.6 s.
    #[test]
    fn retries_stand_for_what_the_documentation_says() {
        assert_eq!(model(15, RTO_MIN, RTO_MAX), seconds(924.6));
        // ((2 << n) - 1) * 200 ms.
        assert_eq!(model(1, RTO_MIN, RTO_MAX), seconds(0.6));
        assert_eq!(model(3, RTO_MIN, RTO_MAX), seconds(3.0));
        assert_eq!(model(8, RTO_MIN, RTO_MAX), seconds(102.2));
        assert_eq!(model(15, RTO_MIN, SECOND), seconds(0.2 + 0.4 + 0.8 + 13.0));
    }

    /// Measured on Linux 6.18: 3.03 s, 3.06 s, 7.1 s, 4.08 s; the default's 131 s is in the same document (tcp_syn_retries).
    #[test]
    fn a_connect_waits_as_long_as_was_measured() {
        for (retries, linear, longest, seconds) in [
            (1, 0, RTO_MAX, 3),
            (1, 4, RTO_MAX, 3),
            (2, 0, RTO_MAX, 7),
            (3, 0, SECOND, 4),
            (1, 0, SECOND, 2),
            (6, 0, RTO_MAX, 127),
            (6, 4, RTO_MAX, 131),
        ] {
            let time = connect_time(retries, linear, longest, None);
            assert_eq!(time, SECOND * seconds, "{retries} {linear} {longest:?}");
        }
    }

    /// Measured: a user timeout of 500 ms ended it after 1.03 s, one of 1500 ms after 1.53 s.
    #[test]
    fn a_user_timeout_ends_a_connect_no_sooner_than_the_first_timer() {
        let wait = |ms| connect_time(6, 4, RTO_MAX, Some(Duration::from_millis(ms)));
        assert_eq!(wait(500), SECOND);
        assert_eq!(wait(1500), Duration::from_millis(1500));
        assert_eq!(wait(500_000), SECOND * 131);
    }

    /// Measured: 1.69, 3.34, 13.4, 937.8, 14.99 and 5.76 s, timers being late by 3 % and with a tail loss probe, which
    /// counts for nothing, before the first retransmission.
    #[test]
    fn unanswered_data_waits_as_long_as_was_measured() {
        let rto = Duration::from_millis(210);
        for (retries, longest, measured) in [
            (1, RTO_MAX, 1.69),
            (2, RTO_MAX, 3.34),
            (5, RTO_MAX, 13.4),
            (15, RTO_MAX, 937.8),
            (15, SECOND, 14.99),
            (5, SECOND, 5.76),
        ] {
            let computed = data_time(retries, rto, longest).as_secs_f64();
            let tail_loss_probe = 0.21;
            let difference = (measured - tail_loss_probe - computed) / measured;
            assert!((-0.03..0.1).contains(&difference), "{retries}: {computed} and {measured}");
        }
    }

    #[test]
    fn keepalive_counts_probes_unless_there_is_a_user_timeout() {
        let time = |idle, interval, probes, user_timeout: Option<u32>| {
            let user_timeout = user_timeout.map(|limit| SECOND * limit);
            keepalive_time(SECOND * idle, SECOND * interval, probes, user_timeout)
        };
        // Measured: 4.02 s, and with a user timeout of two seconds 1.97 s.
        assert_eq!(time(1, 1, 3, None), 4 * SECOND);
        assert_eq!(time(1, 1, 3, Some(2)), 2 * SECOND);
        // One probe at least goes out, and a timeout below the idle time does not come sooner.
        assert_eq!(time(15, 5, 3, Some(1)), 20 * SECOND);
        assert_eq!(time(15, 5, 3, Some(30)), 30 * SECOND);
        assert_eq!(time(7200, 75, 9, None), 7875 * SECOND);
    }

    #[test]
    fn window_probes_back_off() {
        let sent = |rto, backoff, unanswered| -> Vec<u128> {
            let rto = Duration::from_millis(rto);
            let probes = window_probes(rto, backoff, unanswered, RTO_MAX);
            probes.map(|at| at.as_millis()).collect()
        };
        assert_eq!(sent(208, 3, 3), [208, 624, 1456]);
        assert_eq!(sent(5, 3, 2), [400, 1200], "the first one was answered");
        assert_eq!(sent(200, 0, 3), [] as [u128; 0]);
        assert_eq!(sent(200, 255, 2), [120_000, 240_000]);
    }

    #[test]
    fn any_settings_give_a_result() {
        for retries in [0, 1, 15, 127, 255, u32::MAX] {
            for longest in [SECOND, RTO_MAX, SECOND * 86400] {
                assert!(connect_time(retries, retries, longest, None) >= SECOND);
                if retries < 256 {
                    assert!(data_time(retries, Duration::from_millis(1), longest) > Duration::ZERO);
                }
            }
        }
        assert_eq!(keepalive_time(Duration::MAX, Duration::MAX, 9, None), Duration::MAX);
    }
}
