//! How long this host's kernel would have retried: its settings (sysctl), and the time that follows from them.

use std::{fs, time::Duration};

use tcpecho_os::{
    sysctl,
    tcp_timer::{RTO_MAX, connect_time, data_time, keepalive_time, window_probes},
};

use crate::Keepalive;

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
        let linear = self.syn_linear_timeouts.unwrap_or(0);
        Some(connect_time(self.syn_retries?, linear, self.longest(), user_timeout))
    }

    /// Returns the time from sending data to ETIMEDOUT if nothing answers, with the current retransmission timeout.
    #[must_use]
    pub fn data_wait(&self, rto: Duration, user_timeout: Option<Duration>) -> Option<Duration> {
        let rto = rto.clamp(Duration::from_millis(1), self.longest());
        // The clock starts with the first retransmission.
        if let Some(limit) = user_timeout {
            return Some(rto + limit);
        }
        Some(data_time(self.retries2?, rto, self.longest()))
    }

    /// Returns the time from the last segment of an idle peer to ETIMEDOUT. A user timeout replaces the number of probes.
    #[must_use]
    pub fn idle_wait(&self, keepalive: Keepalive, user_timeout: Option<Duration>) -> Duration {
        let Keepalive { idle, interval, count } = keepalive;
        keepalive_time(idle, interval, count, user_timeout)
    }

    /// Returns when each of the `unanswered` last window probes was sent, counted from the peer's last acknowledgement.
    /// `backoff` is the number of doublings in force; an answer does not reset it.
    pub(crate) fn window_probes(
        &self,
        rto: Duration,
        backoff: u8,
        unanswered: u8,
    ) -> impl Iterator<Item = Duration> {
        window_probes(rto, backoff, unanswered, self.longest())
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

    #[test]
    fn what_cannot_be_read_gives_no_time() {
        let kernel = Kernel::default();
        assert_eq!(kernel.syn_wait(None), None);
        assert_eq!(kernel.data_wait(SECOND, None), None);
        // The clock of a user timeout starts with the first retransmission. Measured: 2.43 s with 210 ms.
        assert_eq!(kernel.data_wait(SECOND, Some(2 * SECOND)), Some(3 * SECOND));
        // Before Linux 6.5 and 6.15.
        let old = Kernel { syn_retries: Some(6), retries2: Some(15), ..kernel };
        assert_eq!(old.syn_wait(None), Some(127 * SECOND));
        let rto = Duration::from_millis(200);
        assert!(old.data_wait(rto, None).is_some_and(|wait| wait > 924 * SECOND));
        assert!(old.data_wait(Duration::ZERO, None).is_some());
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
